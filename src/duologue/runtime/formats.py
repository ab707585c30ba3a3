"""The client's sound formats at the edge: everything behind it is 24 kHz s16le.

In: the sound that client items bring, decoded whole (`decode_items`); appended sound is a
stream, which `intake` decodes. Out: the events of one client in the order in which they are
sent (`Outgoing`), which say themselves what format holds from then on.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from msgspec import UNSET, structs

from duologue.audio import g711
from duologue.audio.pcm import BYTES_PER_MS
from duologue.events import (
    AudioFormat,
    AudioPcma,
    AudioPcmu,
    Content,
    ConversationItemCreate,
    ConversationItemRetrieved,
    InputAudio,
    MessageItem,
    OutputAudio,
    RealtimeSession,
    ResponseCreate,
    ResponseCreated,
    ResponseDone,
    ResponseOutputAudioDelta,
    Session,
    SessionCreated,
    SessionUpdated,
)
from duologue.events.translation import AnyServerEvent

INLINE_MS = 200
"""Sound up to this is converted on the event loop, in less than 100 us; longer in a thread."""

SomeItem = TypeVar("SomeItem")
Convert = Callable[[bytes], bytes]


def law_of(chosen: AudioFormat) -> g711.Law | None:
    """The G.711 law of a format; None for PCM, which needs no conversion."""
    match chosen:
        case AudioPcmu():
            return "pcmu"
        case AudioPcma():
            return "pcma"
    return None


async def decode_items(
    event: ConversationItemCreate | ResponseCreate, law: g711.Law
) -> ConversationItemCreate | ResponseCreate:
    """The same event with the sound of its items as 24 kHz PCM."""

    def heard(sound: bytes) -> bytes:
        return g711.decode(sound, law)

    match event:
        case ConversationItemCreate(item=MessageItem() as item) if _has_sound(item):
            item = await asyncio.to_thread(_voiced, item, heard, None)
            return structs.replace(event, item=item)
        case ResponseCreate(response=params) if params.input and any(map(_has_sound, params.input)):
            given = params.input
            items = await asyncio.to_thread(lambda: tuple(_voiced(i, heard, None) for i in given))
            return structs.replace(event, response=structs.replace(params, input=items))
    return event


class Outgoing:
    """The formats of one client's events; a response keeps the one that it was created with."""

    def __init__(self) -> None:
        self._input: g711.Law | None = None
        self._output: g711.Law | None = None
        self._responses: dict[str, g711.Law] = {}
        self._encoders: dict[tuple[str, str], g711.Encoder] = {}

    def changes(self, event: AnyServerEvent) -> bool:
        """Whether `convert` is to be asked: not for sound, while no response is in G.711."""
        return type(event) is not ResponseOutputAudioDelta or bool(self._responses)

    def is_long(self, event: AnyServerEvent) -> bool:
        """Whether `convert` should be called in a thread."""
        match event:
            case ResponseOutputAudioDelta():
                is_telephone = event.response_id in self._responses
                return is_telephone and len(event.delta) > INLINE_MS * BYTES_PER_MS
            case ConversationItemRetrieved():
                return self._input is not None or self._output is not None
        return False

    def convert(self, event: AnyServerEvent) -> AnyServerEvent:
        """The event as it is to be sent; called once for each, in order."""
        match event:
            case ResponseOutputAudioDelta():
                if law := self._responses.get(event.response_id):
                    return self._delta(event, law)
            case ConversationItemRetrieved():
                if self._input or self._output:
                    item = _voiced(event.item, _encoder(self._input), _encoder(self._output))
                    return structs.replace(event, item=item)
            case SessionCreated(session=session) | SessionUpdated(session=session):
                self._settle(session)
            case ResponseCreated(response=response):
                if law := law_of(response.audio.output.format):
                    self._responses[response.id] = law
            case ResponseDone(response=response):
                if self._responses.pop(response.id, None):
                    mine = [key for key in self._encoders if key[0] == response.id]
                    for key in mine:
                        del self._encoders[key]
        return event

    def _settle(self, session: Session) -> None:
        self._input = law_of(session.audio.input.format)
        if isinstance(session, RealtimeSession):
            self._output = law_of(session.audio.output.format)

    def _delta(self, event: ResponseOutputAudioDelta, law: g711.Law) -> ResponseOutputAudioDelta:
        key = (event.response_id, event.item_id)
        encoder = self._encoders.get(key)
        if encoder is None:
            encoder = self._encoders[key] = g711.Encoder(law)
        return structs.replace(event, delta=encoder.push(event.delta))


def _encoder(law: g711.Law | None) -> Convert | None:
    return None if law is None else lambda pcm: g711.encode(pcm, law)


def _has_sound(item: object) -> bool:
    return isinstance(item, MessageItem) and any(isinstance(p, InputAudio) for p in item.content)


def _voiced(item: SomeItem, user: Convert | None, assistant: Convert | None) -> SomeItem:
    """The item with the sound of its parts converted; None leaves that side's as it is."""
    if not isinstance(item, MessageItem):
        return item
    return structs.replace(item, content=tuple(_part(p, user, assistant) for p in item.content))


def _part(part: Content, user: Convert | None, assistant: Convert | None) -> Content:
    match part:
        case InputAudio(audio=sound) if user is not None and sound is not UNSET:
            return structs.replace(part, audio=user(sound))
        case OutputAudio(audio=sound) if assistant is not None and sound is not UNSET:
            return structs.replace(part, audio=assistant(sound))
    return part
