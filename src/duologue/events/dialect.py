"""A dialect: how one connection says client events and is told server events.

    text frame ─► decode ─► ClientEvent            ServerEvent ─► encode ─► text frames

The session behind it always speaks GA. `Ga` is GA as it is; `beta.py` has the beta dialect.
"""

from typing import Any, Protocol

from duologue.events.client import ClientEvent
from duologue.events.codec import appended_sound, decode_client_event, encode_server_event
from duologue.events.server import ServerEvent
from duologue.events.translation import (
    AnyClientEvent,
    TranslationClientEvent,
    TranslationServerEvent,
    decode_translation_event,
    translation_sound,
)


class Dialect(Protocol):
    """Of one connection. `decode` and `encode` may run in two threads, each one call at a time."""

    def decode(self, text: str) -> AnyClientEvent:
        """The event of a frame; raises `Refusal` with the path as the client wrote it."""

    def sound_of(self, data: bytes) -> bytes | None:
        """The sound that a frame of ASCII appends; None where `decode` must say what it is."""

    def encode(self, event: Any) -> tuple[str, ...]:
        """The frames that tell the client of an event, in order; none if it is not told."""


class Ga:
    """GA: one frame for each event. `strict` refuses keys that are not known."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict

    def decode(self, text: str) -> ClientEvent:
        """The event of a frame."""
        return decode_client_event(text, strict=self._strict)

    def sound_of(self, data: bytes) -> bytes | None:
        """The sound of an append; a strict one may have keys that are to be refused."""
        return None if self._strict else appended_sound(data)

    def encode(self, event: ServerEvent) -> tuple[str, ...]:
        """The frame of an event."""
        return (encode_server_event(event),)


class Translation:
    """That of translation sessions. `strict` refuses keys that are not known."""

    def __init__(self, *, strict: bool = False) -> None:
        self._strict = strict

    def decode(self, text: str) -> TranslationClientEvent:
        """The event of a frame."""
        return decode_translation_event(text, strict=self._strict)

    def sound_of(self, data: bytes) -> bytes | None:
        """The sound of an append."""
        return None if self._strict else translation_sound(data)

    def encode(self, event: TranslationServerEvent) -> tuple[str, ...]:
        """The frame of an event."""
        return (encode_server_event(event),)
