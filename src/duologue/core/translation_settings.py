"""The settings of a translation session: one wire object, replaced by each update.

Language, transcription and noise reduction change; type and model may only be said again
(reference, section 2.3). What cannot be is refused, and nothing has changed.
"""

from typing import Any

from msgspec import structs

from duologue.core.settings import SessionConfig, keep_strength, present
from duologue.errors import Refusal
from duologue.events import AudioTranscription
from duologue.events.translation import (
    TranslationAudioInput,
    TranslationAudioInputUpdate,
    TranslationSession,
    TranslationSessionUpdate,
)

TRANSCRIPTION = "session.audio.input.transcription"
LANGUAGE = "session.audio.output.language"


class TranslationSettings:
    """`session` is what the client is shown."""

    def __init__(self, config: SessionConfig) -> None:
        self._models = config.transcription_models
        self._languages = config.target_languages
        self.session = TranslationSession(
            id=config.id, model=config.model, expires_at=config.expires_at
        )
        if config.translation_start is not None:
            self.update(config.translation_start)

    @property
    def language(self) -> str:
        """Code of the language to translate into."""
        return code_of(self.session.audio.output.language)

    @property
    def transcription(self) -> AudioTranscription | None:
        """How the source language is written down, if it is."""
        wanted = self.session.audio.input.transcription
        if wanted is None:
            return None
        return self._models.complete(AudioTranscription(model=wanted.model), TRANSCRIPTION)

    def update(self, change: TranslationSessionUpdate) -> None:
        """Apply a partial update, all of it or none."""
        session = self.session
        if change.model and change.model != session.model:
            message = f"The model of a session cannot be changed; it is '{session.model}'."
            raise Refusal("invalid_value", message, "session.model")
        audio = session.audio
        if change.audio and change.audio.input:
            audio = structs.replace(audio, input=self._merge(audio.input, change.audio.input))
        if change.audio and change.audio.output:
            fields = present(change.audio.output)
            if "language" in fields:
                self._check_language(fields["language"])
            audio = structs.replace(audio, output=structs.replace(audio.output, **fields))
        self.session = structs.replace(session, audio=audio)

    def _merge(
        self, current: TranslationAudioInput, change: TranslationAudioInputUpdate
    ) -> TranslationAudioInput:
        fields: dict[str, Any] = present(change)
        if fields.get("noise_reduction") is not None:
            fields["noise_reduction"] = keep_strength(
                fields["noise_reduction"], current.noise_reduction
            )
        if (wanted := fields.get("transcription")) is not None:
            self._models.complete(AudioTranscription(model=wanted.model), TRANSCRIPTION)
        return structs.replace(current, **fields)

    def _check_language(self, language: str) -> None:
        if code_of(language) not in self._languages:
            known = ", ".join(f"'{one}'" for one in self._languages) or "no language"
            raise Refusal(
                "invalid_value",
                f"Invalid value: '{language[:40]}'. This server translates into: {known}.",
                LANGUAGE,
            )


def code_of(language: str) -> str:
    """ISO-639-1 of "en", "EN" or "en-GB"."""
    return language.split("-")[0].lower()
