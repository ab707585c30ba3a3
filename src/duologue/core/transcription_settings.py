"""The settings of a transcription session: one wire object, replaced by each update.

A partial update goes in, the next effective object comes out, or a refusal and nothing
changed (reference, sections 2.2 and 2.4). Transcription is on from the beginning.
"""

from msgspec import UNSET, structs

from duologue.core.settings import SessionConfig, keep_strength, present
from duologue.errors import Refusal
from duologue.events import (
    AudioTranscription,
    SessionUpdateParams,
    TranscriptionAudio,
    TranscriptionAudioInput,
    TranscriptionServerVad,
    TranscriptionSession,
    TranscriptionSessionUpdate,
    TranscriptionTurnDetection,
)

TRANSCRIPTION = "session.audio.input.transcription"


class TranscriptionSettings:
    """`session` is what the client is shown."""

    def __init__(self, config: SessionConfig) -> None:
        self._models = config.transcription_models
        self._default_model = config.transcription_model or self._models.default_of_session
        self.own_turn_policy = True
        """Whether the client has left turn detection as the server set it."""
        heard = TranscriptionAudioInput(
            transcription=self._complete(AudioTranscription()),
            turn_detection=TranscriptionServerVad(silence_duration_ms=config.silence_duration_ms),
        )
        self.session = TranscriptionSession(
            id=config.id, expires_at=config.expires_at, audio=TranscriptionAudio(input=heard)
        )
        if config.start is not None:
            self.update(config.start)

    def update(self, change: SessionUpdateParams) -> None:
        """Apply a partial update, all of it or none."""
        if not isinstance(change, TranscriptionSessionUpdate):
            raise Refusal(
                "invalid_value", "The type of a session cannot be changed.", "session.type"
            )
        session = self.session
        if change.audio and change.audio.input:
            heard = self._merge(session.audio.input, change)
            session = structs.replace(session, audio=structs.replace(session.audio, input=heard))
        if change.include is not UNSET:
            session = structs.replace(session, include=change.include)
        self.session = session

    def _merge(
        self, current: TranscriptionAudioInput, change: TranscriptionSessionUpdate
    ) -> TranscriptionAudioInput:
        assert change.audio and change.audio.input
        fields = present(change.audio.input)
        if fields.get("noise_reduction") is not None:
            fields["noise_reduction"] = keep_strength(
                fields["noise_reduction"], current.noise_reduction
            )
        if fields.get("transcription") is not None:
            fields["transcription"] = self._complete(fields["transcription"])
        if "turn_detection" in fields:
            _check_idle_timeout(fields["turn_detection"])
            self.own_turn_policy = False
        return structs.replace(current, **fields)

    def _complete(self, wanted: AudioTranscription) -> AudioTranscription:
        return self._models.complete(wanted, TRANSCRIPTION, default=self._default_model)


def _check_idle_timeout(chosen: TranscriptionTurnDetection | None) -> None:
    """Refuse a timeout that ends in a response, where there is none: it would never come."""
    if isinstance(chosen, TranscriptionServerVad) and chosen.idle_timeout_ms:
        where = "session.audio.input.turn_detection.idle_timeout_ms"
        message = f"Invalid '{where}': a transcription session makes no responses."
        raise Refusal("invalid_value", message, where)
