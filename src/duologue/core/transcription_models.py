"""Names of transcription models: which a session may ask for, and what each can do.

What a client asks for goes in, the complete setting as it is echoed comes out, or a refusal
that lists what there is (C-105). The server maps every name onto a model that it really has
(`hearing/transcriber.py`); here only the names and their languages are known.
"""

import re

import msgspec
from msgspec import UNSET, structs

from duologue.core.talk import TranscriptionAsk
from duologue.errors import Refusal
from duologue.events import AudioTranscription, Include

LOGPROBS: Include = "item.input_audio_transcription.logprobs"

STREAMING = ("gpt-realtime-whisper", "gpt-live-transcribe")
"""Names that applications choose to see words while they are spoken (GAP-48)."""

WELL_KNOWN = (
    *("whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe"),
    *("gpt-4o-transcribe-diarize", *STREAMING),
)
"""Names that applications use for transcription. Speakers are not told apart by any."""

DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")

INTERVAL_MS = {"minimal": 320, "low": 640, "medium": 960, "high": 1600, "xhigh": 3200}
"""New sound between two hypotheses, by `delay`. Text is told after two that agree."""


class TranscriptionModels(msgspec.Struct, frozen=True, kw_only=True):
    """What a server can transcribe with.

    `default` is for a conversation that names none, `default_of_session` for a transcription
    session: a name that beta clients know, too. `languages` maps a name to the codes that it
    is limited to. `is_open`: any other name is taken for the default.
    """

    names: tuple[str, ...] = WELL_KNOWN
    default: str = "whisper-1"
    default_of_session: str = "gpt-4o-transcribe"
    languages: dict[str, tuple[str, ...]] = {}
    is_open: bool = False

    def find(self, name: str) -> str | None:
        """The name without its date, if it is one of `names`."""
        plain = name if name in self.names else DATED.sub("", name)
        if plain in self.names:
            return plain
        return self.default if self.is_open else None

    def complete(
        self, wanted: AudioTranscription, param: str, *, default: str | None = None
    ) -> AudioTranscription:
        """What was left out shows as null (GAP-27), the model always; raises `Refusal`."""
        name = wanted.model or default or self.default
        known = self.find(name)
        if known is None:
            names = ", ".join(f"'{one}'" for one in self.names)
            message = f"Invalid value: '{name[:100]}'. Supported values are: {names}."
            raise Refusal("invalid_value", message, f"{param}.model")
        allowed = self.languages.get(known)
        if allowed is not None:
            if wanted.language:
                _check_languages((wanted.language,), allowed, name, f"{param}.language")
            if wanted.languages is not UNSET:
                _check_languages(wanted.languages, allowed, name, f"{param}.languages")
        return structs.replace(
            wanted,
            model=name,
            language=wanted.language or None,
            prompt=wanted.prompt or None,
        )

    def ask(self, settings: AudioTranscription, *, logprobs: bool) -> TranscriptionAsk:
        """What the transcriber is asked under complete `settings`."""
        assert settings.model is not UNSET
        return TranscriptionAsk(
            model=self.find(settings.model) or self.default,
            language=_code(settings.language) if settings.language else None,
            languages=tuple(map(_code, settings.languages or ())),
            prompt=settings.prompt or None,
            keywords=settings.keywords or (),
            logprobs=logprobs,
        )


def interval_ms(settings: AudioTranscription) -> int | None:
    """New sound between two hypotheses; None where words are told after the commit only."""
    if settings.delay is not UNSET:
        return INTERVAL_MS[settings.delay]
    name = DATED.sub("", settings.model or "")
    return INTERVAL_MS["medium"] if name in STREAMING else None


def _code(language: str) -> str:
    """ISO-639-1 of "en", "EN" or "en-US"."""
    return language.split("-")[0].lower()


def _check_languages(
    wanted: tuple[str, ...], allowed: tuple[str, ...], model: str, param: str
) -> None:
    if any(_code(language) in allowed for language in wanted):
        return
    known = ", ".join(f"'{code}'" for code in allowed)
    raise Refusal(
        "invalid_value",
        f"Invalid value: '{wanted[0][:40]}'. Supported by the model behind '{model}' are: {known}.",
        param,
    )
