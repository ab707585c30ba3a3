"""The beta dialect of one connection, on top of a session that speaks GA.

    text frame ─► decode ─► beta event ─► GA event          GA event ─► beta event ─► text frame

What the GA session cannot keep stands here: the session's `temperature`, which takes effect
with the `session.updated` that answers its update, and rate limits, which beta sends right
after `response.created` (GAP-4).

A client whose first `session.update` has a `session.type` speaks GA in spite of its header:
from that frame on the connection is a GA one, both ways (GAP-44). What was told before that
was beta: `session.created` and `conversation.created`, and whatever else the client had asked
for by then. The `session.updated` that follows shows the whole session in GA.
"""

from collections import deque
from typing import Any

from msgspec import UNSET, Struct, UnsetType, structs

from duologue.errors import Refusal
from duologue.events.beta_client import (
    BETA_CLIENT_EVENTS,
    BetaClientEvent,
    BetaResponseCreate,
    BetaSessionUpdate,
    as_written,
    rename_parts,
    to_ga,
)
from duologue.events.beta_objects import DEFAULT_TEMPERATURE
from duologue.events.beta_server import to_beta
from duologue.events.beta_shapes import TEMPERATURE_KEY
from duologue.events.beta_words import in_beta_words
from duologue.events.client import ClientEvent, ResponseCreate, SessionUpdate
from duologue.events.codec import (
    NOT_AN_APPEND,
    appended_sound,
    decode_append,
    encode_server_event,
    parse,
    typed,
)
from duologue.events.dialect import Ga
from duologue.events.replies import ResponseCreated
from duologue.events.rules import check_items
from duologue.events.server import (
    ConversationCreated,
    Error,
    RateLimitsUpdated,
    ServerEvent,
    SessionUpdated,
)

_UPDATE_NAME = "duologue:session.update:"
"""Begins the names under which updates go to the session, so that a refusal can be told apart."""


class _Update(Struct, frozen=True):
    """A session update that the session has not answered yet."""

    name: str
    event_id: str | UnsetType
    temperature: float | UnsetType


class Beta:
    """Speaks beta until its client turns out to speak GA. `strict` refuses unknown keys."""

    def __init__(self, *, strict: bool = False, temperature: float = DEFAULT_TEMPERATURE) -> None:
        self._strict = strict
        self._temperature = temperature
        self._ga: Ga | None = None
        self._is_decided = False
        self._count = 0
        self._unanswered: deque[_Update] = deque()
        self._rate_limits: RateLimitsUpdated | None = None

    def decode(self, text: str) -> ClientEvent:
        """The GA event of a frame; raises `Refusal` with the path as the client wrote it."""
        if self._ga:
            return self._ga.decode(text)
        if not self._strict:
            try:
                return decode_append(text)
            except NOT_AN_APPEND:
                pass  # another event, or a fault that the careful way below can name
        raw = parse(text)
        if self._speaks_ga(raw):
            self._ga = Ga(strict=self._strict)
            return self._ga.decode(text)
        moved = rename_parts(raw)
        try:
            event = typed(raw, BETA_CLIENT_EVENTS, strict=self._strict)
        except Refusal as refusal:
            raise as_written(refusal, moved) from None
        asked = to_ga(event)
        check_items(asked)
        return self._noted(event, asked)

    def sound_of(self, data: bytes) -> bytes | None:
        """The sound of an append, which both dialects say alike."""
        return None if self._strict else appended_sound(data)

    def encode(self, event: ServerEvent) -> tuple[str, ...]:
        """The frames that tell a beta client of a GA event: one, two or none."""
        if self._ga:
            # The one event of the GA vocabulary that only beta clients are sent (GAP-3).
            return () if isinstance(event, ConversationCreated) else self._ga.encode(event)
        match event:
            case SessionUpdated():
                self._settle()
            case Error():
                event = self._blamed(event)
            case RateLimitsUpdated():
                self._rate_limits = event  # kept for the next response
                return ()
        told = to_beta(event, self._temperature)
        if told is None:
            return ()
        frame = encode_server_event(told)
        if isinstance(event, ResponseCreated) and self._rate_limits:
            limits, self._rate_limits = self._rate_limits, None
            return (frame, encode_server_event(limits))
        return (frame,)

    def _speaks_ga(self, raw: dict[str, Any]) -> bool:
        """Whether this frame is the first update of a session, and one that only GA has."""
        kind, session = raw.get("type"), raw.get("session")
        if self._is_decided or kind not in ("session.update", "transcription_session.update"):
            return False
        self._is_decided = True
        return kind == "session.update" and isinstance(session, dict) and "type" in session

    def _noted(self, event: ClientEvent | BetaClientEvent, asked: ClientEvent) -> ClientEvent:
        """`asked`, prepared so that what GA has no place for is found again in the answer."""
        if isinstance(asked, SessionUpdate):
            self._count += 1
            name = f"{_UPDATE_NAME}{self._count}"
            temperature = (
                event.session.temperature if isinstance(event, BetaSessionUpdate) else UNSET
            )
            self._unanswered.append(_Update(name, asked.event_id, temperature))
            return structs.replace(asked, event_id=name)
        if isinstance(asked, ResponseCreate) and isinstance(event, BetaResponseCreate):
            if event.response.temperature is not UNSET:
                tag = {TEMPERATURE_KEY: str(event.response.temperature)}
                tagged = {**(asked.response.metadata or {}), **tag}
                response = structs.replace(asked.response, metadata=tagged)
                return structs.replace(asked, response=response)
        return asked

    def _settle(self) -> None:
        """The oldest update was accepted: its temperature is in force."""
        if self._unanswered:
            self._temperature = self._unanswered.popleft().temperature or self._temperature

    def _blamed(self, event: Error) -> Error:
        """The error under the client's own names: of its event, and of the field at fault."""
        detail = event.error
        message, param, event_id = detail.message, detail.param, detail.event_id
        is_update = bool(self._unanswered) and event_id == self._unanswered[0].name
        if is_update:
            event_id = self._unanswered.popleft().event_id or None
        if is_update or (param or "").startswith("response."):
            message, param = in_beta_words(message, param)
        told = structs.replace(detail, message=message, param=param, event_id=event_id)
        return structs.replace(event, error=told)
