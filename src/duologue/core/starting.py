"""What a session would begin with, without making one: for client secrets and calls.

A `SessionConfig` goes in, the effective session object comes out, by the very code that
makes the settings of a session and takes its updates; so what is refused here is what a
`session.update` would be refused, under the same path (GAP-52).
"""

from typing import Any

import msgspec
from msgspec import UNSET, structs

from duologue.core.settings import (
    SessionConfig,
    Settings,
    complete_transcription,
    present,
)
from duologue.events import NoiseReduction, Session, TranscriptionSession
from duologue.events import TranscriptionSessionUpdate as TranscriptionUpdate
from duologue.events.client_secrets import TranslationSession, TranslationSessionCreate


def starting_session(config: SessionConfig) -> Session:
    """The whole session that `config` makes; raises `Refusal`."""
    if isinstance(config.start, TranscriptionUpdate):
        return _transcription_session(config, config.start)
    return Settings(config).session


def starting_translation_session(
    config: SessionConfig, start: TranslationSessionCreate
) -> TranslationSession:
    """The whole translation session that `start` asks for; `config` gives id and expiry."""
    whole = TranslationSession(id=config.id, model=start.model, expires_at=config.expires_at)
    audio = whole.audio
    if start.audio and start.audio.input:
        audio = structs.replace(audio, input=_merged(audio.input, start.audio.input))
    if start.audio and start.audio.output:
        audio = structs.replace(audio, output=_merged(audio.output, start.audio.output))
    return structs.replace(whole, audio=audio)


def _transcription_session(
    config: SessionConfig, start: TranscriptionUpdate
) -> TranscriptionSession:
    whole = TranscriptionSession(id=config.id, expires_at=config.expires_at)
    if start.include is not UNSET:
        whole = structs.replace(whole, include=start.include)
    if not start.audio or not start.audio.input:
        return whole
    given = start.audio.input
    if given.transcription:
        given = structs.replace(given, transcription=complete_transcription(given.transcription))
    return structs.replace(
        whole, audio=structs.replace(whole.audio, input=_merged(whole.audio.input, given))
    )


def _merged(whole: Any, change: msgspec.Struct) -> Any:
    """`whole` with the keys that `change` has; noise reduction has a strength once it is on."""
    fields = present(change)
    match fields.get("noise_reduction"):
        case NoiseReduction(strength=strength) as wanted if strength is UNSET:
            fields["noise_reduction"] = structs.replace(wanted, strength=1.0)
    return structs.replace(whole, **fields)
