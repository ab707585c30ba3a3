"""The session's refusals in the words of a beta client: the paths it wrote, its names of formats.

Most faults are found on the typed beta event and have its paths from the start. Those that
the session finds, in a GA event that came of one, have GA paths; here they are led back.
"""

_PATHS = {
    "session.type": "type",
    "session.audio.input.format": "session.input_audio_format",
    "session.audio.input.noise_reduction": "session.input_audio_noise_reduction",
    "session.audio.input.transcription": "session.input_audio_transcription",
    "session.audio.input.turn_detection": "session.turn_detection",
    "session.audio.output.format": "session.output_audio_format",
    "session.audio.output.voice": "session.voice",
    "session.audio.output.speed": "session.speed",
    "session.output_modalities": "session.modalities",
    "session.max_output_tokens": "session.max_response_output_tokens",
    "response.audio.output.format": "response.output_audio_format",
    "response.audio.output.voice": "response.voice",
}
"""GA path to beta path."""

_WHOLE = ("format", "voice")
"""Objects in GA that are plain strings in beta: nothing can be wrong inside them."""

_FORMATS = {"'audio/pcm'": "'pcm16'", "'audio/pcmu'": "'g711_ulaw'", "'audio/pcma'": "'g711_alaw'"}


def in_beta_words(message: str, param: str | None) -> tuple[str, str | None]:
    """A message and the path it is about, as a client of the beta protocol would say them."""
    for ga, beta in _FORMATS.items():
        message = message.replace(ga, beta)
    if param is None:
        return message, None
    path = beta_path(param)
    return message.replace(f"'{param}'", f"'{path}'"), path


def beta_path(path: str) -> str:
    """Where the client of the beta protocol wrote what GA has at `path`."""
    for ga, beta in _PATHS.items():
        if path == ga or path.startswith(f"{ga}."):
            return beta if ga.endswith(_WHOLE) else beta + path.removeprefix(ga)
    return path
