"""Bodies of `client_secrets`: what is asked for over HTTP and what is answered.

A request names how long the secret opens sessions and what they begin with; the answer shows
the secret and the whole session such a one would be (reference, section 1.4). A translation
session has a shape of its own (section 2.3).
"""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from duologue.events.session import Session, SessionUpdateParams
from duologue.events.translation import TranslationAudioUpdate, TranslationSession

DEFAULT_EXPIRY_S = 600


class ExpiresAfter(Struct, frozen=True, kw_only=True):
    """How long a secret opens sessions, counted from when it was made (C-021)."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = DEFAULT_EXPIRY_S


class ClientSecretCreate(Struct, frozen=True, kw_only=True):
    """`POST /v1/realtime/client_secrets`; without `session` the server's defaults are bound."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: SessionUpdateParams | UnsetType = UNSET


class TranslationSessionCreate(Struct, frozen=True, kw_only=True):
    """What a translation session begins with; `type` may be left out."""

    type: Literal["translation"] = "translation"
    model: str
    audio: TranslationAudioUpdate | UnsetType = UNSET


class TranslationClientSecretCreate(Struct, frozen=True, kw_only=True):
    """`POST /v1/realtime/translations/client_secrets`."""

    expires_after: ExpiresAfter = ExpiresAfter()
    session: TranslationSessionCreate


class ClientSecret(Struct, frozen=True, kw_only=True):
    """A secret, shown once, and the whole session that it opens.

    `expires_at` is in Unix seconds; `session.expires_at` is 0, as it has not begun (GAP-29).
    """

    value: str
    expires_at: int
    session: Session | TranslationSession
