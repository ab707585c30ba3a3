"""Bodies of the beta endpoints that mint: a flat session in, the same with its secret out.

`POST /v1/realtime/sessions` and `/transcription_sessions` (reference, sections 1.1 and 8).
What is asked for beside the flat session is how long the secret opens sessions: 60 s unless
the client says.
"""

from typing import Annotated, Any, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from duologue.errors import Refusal
from duologue.events.beta_client import ga_session, ga_transcription_session
from duologue.events.beta_objects import (
    DEFAULT_TEMPERATURE,
    BetaSession,
    BetaSessionUpdateParams,
    BetaTranscriptionSession,
    BetaTranscriptionSessionUpdateParams,
)
from duologue.events.beta_shapes import flat_session, flat_transcription_session
from duologue.events.beta_words import in_beta_words
from duologue.events.codec import converted, parse
from duologue.events.session import RealtimeSession, Session, SessionUpdateParams
from duologue.events.tidy import flatten_tool_choice

BETA_EXPIRY_S = 60

_Body = TypeVar("_Body", bound=Struct)


class BetaExpiresAfter(Struct, frozen=True, kw_only=True):
    """How long a secret opens sessions, counted from when it was made."""

    anchor: Literal["created_at"] = "created_at"
    seconds: Annotated[int, Meta(ge=10, le=7200)] = BETA_EXPIRY_S


class BetaClientSecretCreate(Struct, frozen=True, kw_only=True):
    """What is asked of the secret; transcription sessions call the same thing `expires_at`."""

    expires_after: BetaExpiresAfter = BetaExpiresAfter()
    expires_at: BetaExpiresAfter | UnsetType = UNSET

    @property
    def seconds(self) -> int:
        """The life of the secret."""
        return (self.expires_at or self.expires_after).seconds


class BetaSessionCreate(BetaSessionUpdateParams, frozen=True, kw_only=True):
    """`POST /v1/realtime/sessions`."""

    client_secret: BetaClientSecretCreate = BetaClientSecretCreate()

    @property
    def start(self) -> SessionUpdateParams:
        """What the session begins with, in GA."""
        return ga_session(self)

    @property
    def shown_temperature(self) -> float:
        """The temperature that the session will show."""
        return self.temperature or DEFAULT_TEMPERATURE


class BetaTranscriptionSessionCreate(
    BetaTranscriptionSessionUpdateParams, frozen=True, kw_only=True
):
    """`POST /v1/realtime/transcription_sessions`."""

    client_secret: BetaClientSecretCreate = BetaClientSecretCreate()

    @property
    def start(self) -> SessionUpdateParams:
        """What the session begins with, in GA."""
        return ga_transcription_session(self)

    @property
    def shown_temperature(self) -> float:
        """None is shown; a beta session has one all the same."""
        return DEFAULT_TEMPERATURE


class BetaClientSecret(Struct, frozen=True, kw_only=True):
    """A secret, shown once; `expires_at` in Unix seconds."""

    value: str
    expires_at: int


class BetaSessionWithSecret(BetaSession, frozen=True, kw_only=True):
    """The answer: the whole session that the secret opens."""

    client_secret: BetaClientSecret


class BetaTranscriptionSessionWithSecret(BetaTranscriptionSession, frozen=True, kw_only=True):
    """The answer: the whole transcription session that the secret opens."""

    client_secret: BetaClientSecret


def decode_beta_body(data: bytes, kind: type[_Body], *, strict: bool) -> _Body:
    """The body of a request as a `kind`; no body asks for nothing in particular."""
    raw: dict[str, Any] = parse(data or b"{}", "body")
    flatten_tool_choice(raw)
    return converted(raw, kind, strict=strict)


def with_secret(
    session: Session, temperature: float, secret: BetaClientSecret
) -> BetaSessionWithSecret | BetaTranscriptionSessionWithSecret:
    """The answer to a request whose session would be `session`."""
    if isinstance(session, RealtimeSession):
        flat = structs.asdict(flat_session(session, temperature))
        return BetaSessionWithSecret(**flat, client_secret=secret)
    flat = structs.asdict(flat_transcription_session(session))
    return BetaTranscriptionSessionWithSecret(**flat, client_secret=secret)


def beta_refusal(refusal: Refusal) -> Refusal:
    """The refusal of a session by the path that its field has in the body, where it lies bare."""
    message, param = in_beta_words(refusal.message, refusal.param)
    if param is not None:
        bare = param.removeprefix("session.")
        message, param = message.replace(f"'{param}'", f"'{bare}'"), bare
    return Refusal(refusal.code, message, param)
