"""Bodies of `client_secrets`: what is asked for over HTTP and what is answered.

A request names how long the secret opens sessions and what they begin with; the answer shows
the secret and the whole session such a one would be (reference, section 1.4). A translation
session has a shape of its own (section 2.3).
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from duologue.events.session import NoiseReduction, Session, SessionUpdateParams

DEFAULT_EXPIRY_S = 600


class ExpiresAfter(Struct, frozen=True, kw_only=True):
    """How long a secret opens sessions, counted from when it was made (C-021)."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = DEFAULT_EXPIRY_S


class ClientSecretCreate(Struct, frozen=True, kw_only=True):
    """`POST /v1/realtime/client_secrets`; without `session` the server's defaults are bound."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: SessionUpdateParams | UnsetType = UNSET


class TranslationTranscription(Struct, frozen=True, kw_only=True):
    """How the source language is written down for the client."""

    model: str


class TranslationAudioInputUpdate(Struct, frozen=True, kw_only=True):
    """Changes to how a translation session listens."""

    transcription: TranslationTranscription | None | UnsetType = UNSET
    noise_reduction: NoiseReduction | None | UnsetType = UNSET


class TranslationAudioOutputUpdate(Struct, frozen=True, kw_only=True):
    """Changes to the language that is spoken."""

    language: str | UnsetType = UNSET


class TranslationAudioUpdate(Struct, frozen=True, kw_only=True):
    """Changes to a translation session's audio settings."""

    input: TranslationAudioInputUpdate | UnsetType = UNSET
    output: TranslationAudioOutputUpdate | UnsetType = UNSET


class TranslationSessionCreate(Struct, frozen=True, kw_only=True):
    """What a translation session begins with; `type` may be left out."""

    type: Literal["translation"] = "translation"
    model: str
    audio: TranslationAudioUpdate | UnsetType = UNSET


class TranslationClientSecretCreate(Struct, frozen=True, kw_only=True):
    """`POST /v1/realtime/translations/client_secrets`."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: TranslationSessionCreate


class TranslationAudioInput(Struct, frozen=True, kw_only=True):
    """How a translation session listens."""

    transcription: TranslationTranscription | None = None
    noise_reduction: NoiseReduction | None = None


class TranslationAudioOutput(Struct, frozen=True, kw_only=True):
    """The language that a translation session speaks."""

    language: str = "en"


class TranslationAudio(Struct, frozen=True, kw_only=True):
    """A translation session's audio settings."""

    input: TranslationAudioInput = TranslationAudioInput()
    output: TranslationAudioOutput = TranslationAudioOutput()


class TranslationSession(Struct, frozen=True, kw_only=True, tag_field="type", tag="translation"):
    """The whole effective translation session; `expires_at` is in Unix seconds."""

    id: str
    model: str
    expires_at: int
    audio: TranslationAudio = TranslationAudio()


class ClientSecret(Struct, frozen=True, kw_only=True):
    """A secret, shown once, and the whole session that it opens.

    `expires_at` is in Unix seconds; `session.expires_at` is 0, as it has not begun (GAP-29).
    """

    value: str
    expires_at: int
    session: Session | TranslationSession
