"""One conversation with the composed engine: notes and asks in, replies out.

    put/drop/cut ──► History ──snapshot──► Transcripts ──text──► mind ──► Reply ──► events
                        └─────────sound, where the mind hears────▲
    expect ────────► Guess: the same Reply, begun before it is asked for
    configure ─────► read_ahead: the mind reads instructions and tools

A guess is a reply to the expected item on the settings as configured. When that very item is
put at the end of an unchanged history and the ask is the configured one, its reader simply
gets it, with what it has ready; otherwise it is stopped, and leaves no trace.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from duologue.core.talk import Ask, Item, Part
from duologue.engines.composed.limit import for_mind
from duologue.engines.composed.parts import Ear, Eye, Mind, MindTalk, Mouth
from duologue.engines.composed.precedence import Precedence
from duologue.engines.composed.reply import AHEAD, Plan, Reply
from duologue.engines.composed.sights import Sights
from duologue.engines.composed.tasks import Tasks
from duologue.engines.composed.transcripts import Transcripts
from duologue.engines.history import History
from duologue.engines.window import newest

LEAST_ITEM_TOKENS = 4
"""No message is shorter than its frame, which bounds how many items a window can hold."""


class Guess(msgspec.Struct):
    """A reply begun on an item that was expected, good while the history is at `revision`."""

    item: Item
    ask: Ask
    revision: int
    reply: Reply
    put: bool = False
    """The item has come in as expected: only the ask is missing."""


class ComposedTalk:
    """See `runtime.ports.Talk`; made by `ComposedEngine.open`."""

    def __init__(
        self,
        ask: Ask,
        *,
        ear: Ear,
        mind: Mind,
        mouth: Mouth,
        precedence: Precedence,
        closed: Callable[["ComposedTalk"], None],
        eye: Eye | None = None,
        ahead: int = AHEAD,
    ) -> None:
        self._ask = ask
        self._context_tokens = mind.context_tokens
        self._hears = mind.hears
        self._mouth = mouth
        self._precedence = precedence
        self._ahead = ahead
        self._closed = closed
        self._tasks = Tasks()
        self._mind: MindTalk = mind.open()
        self._history = History()
        self._transcripts = Transcripts(ear, self._tasks)
        self._sights = Sights(eye, self._tasks)
        self._heavy: set[str] = set()
        """Items of the history that have sound or images."""
        self._is_closed = False
        self._expected: Item | None = None
        self._guess: Guess | None = None
        self._replies: set[Reply] = set()
        self._read_ahead()

    def configure(self, ask: Ask) -> None:
        """Note settings; instructions and tools are prefilled at once."""
        if ask == self._ask:
            return
        self._ask = ask
        self._read_ahead(instead=True)
        self._guess_again()

    async def admit(self, ask: Ask) -> None:
        """See `Talk.admit`: the mind makes ready for an empty history, and is not begun."""
        await self._mind.prepare(msgspec.structs.replace(ask, context=(), keep=False), ())

    def expect(self, item: Item | None) -> None:
        """Note a guess, or withdraw it: the reply begins on it, after its transcription."""
        if item is not None and item == self._expected and self._guess is not None:
            return
        self._withdraw()
        if self._expected is not None:
            self._transcripts.forget(self._expected)
        self._expected = item
        if item is not None:
            self._begin_guess(item)

    def put(self, item: Item, after: str | None = None) -> None:
        """Note an item; one that was expected makes the guess on it good."""
        guess, before = self._guess, self._history.revision
        last = self._history.put(item, after)
        if any(part.pcm or part.image_url for part in item.parts):
            self._heavy.add(item.id)
        self._lighten()
        self._sights.begin(item)
        if self._expected is not None and self._expected.id == item.id:
            expected, self._expected = self._expected, None
            if guess is not None and last and guess.revision == before and _grown(expected, item):
                guess.put, guess.revision = True, self._history.revision
                return
            if not _grown(expected, item):
                self._transcripts.forget(expected)
            self._withdraw()
        else:
            self._guess_again()
        if not self._hears:
            self._transcripts.begin(item)
        if item.role in ("assistant", "system"):
            self._read_ahead()

    def drop(self, item_id: str) -> None:
        """Note that an item was deleted; unknown ids are passed over."""
        if (item := self._history.drop(item_id)) is not None:
            self._heavy.discard(item_id)
            self._mind.forget(item_id)
            self._transcripts.forget(item)
            self._sights.forget(item)
            self._changed()

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        """Note that of an item only `text` was heard; unknown ids are passed over."""
        if self._history.cut(item_id, text):
            self._changed()

    def reply(self, ask: Ask) -> Reply:
        """See `runtime.ports.Talk.reply`: the history is the one of this moment."""
        if not ask.keep or ask.context is not None:
            items = self._history.items if ask.context is None else ask.context
            reply = self._reply(ask, items)
            if ask.context is not None:
                reply.task.add_done_callback(lambda _: self._forget_apart(items))
            return reply
        guess, self._guess = self._guess, None
        if guess is not None:
            if guess.put and guess.revision == self._history.revision and guess.ask == ask:
                if not guess.reply.failed:
                    guess.reply.adopt()
                    return guess.reply
            guess.reply.cancel()
        return self._reply(ask, self._history.items)

    async def aclose(self) -> None:
        """Stop every reply and guess, and give the lease back."""
        if self._is_closed:
            return
        self._is_closed = True
        self._withdraw()
        self._closed(self)
        await asyncio.gather(*[reply.aclose() for reply in self._replies])
        self._transcripts.close()
        await self._mind.aclose()
        await self._tasks.aclose()

    async def _plan(self, ask: Ask, items: tuple[Item, ...]) -> Plan:
        """What the mind makes of `items`, once they are what it takes."""
        think = await self._mind.prepare(for_mind(ask), await self._understood(items))
        self._lighten()
        return Plan(think, self._transcripts.at_s(items[-1]) if items else None)

    async def _understood(self, items: tuple[Item, ...]) -> tuple[Item, ...]:
        """The items with text for images, and for sound unless the mind takes it as it is."""
        newest = self._newest(items)
        return await self._sights.read(
            newest if self._hears else await self._transcripts.read(newest)
        )

    def _lighten(self) -> None:
        """Let go what no reply reads any more: an hour of sound is 170 MB.

        Of what the window has dropped that is all but the words; of sound that is written down
        for a mind that reads, the sound.
        """
        left_out = self._mind.left_out
        for item_id in tuple(self._heavy):
            item, _ = self._history.find(item_id)
            assert item is not None, "what is dropped is no longer among them"
            if item_id in left_out:
                self._sights.forget(item)
                parts = tuple(Part(p.text, media_id=p.media_id) for p in item.parts)
                light = msgspec.structs.replace(item, parts=parts)
            elif self._hears or item is self._history.last:
                continue
            elif (written := self._transcripts.written(item)) is None:
                continue
            else:
                light = written
            self._history.lighten(light)
            if not any(part.image_url for part in light.parts):
                self._heavy.discard(item_id)

    def _newest(self, items: tuple[Item, ...]) -> Sequence[Item]:
        """What of a very long history may find room at all."""
        return newest(items, self._context_tokens // LEAST_ITEM_TOKENS)

    def _read_ahead(self, *, instead: bool = False) -> None:
        """Have the mind read what the next prompt will begin with, as things stand now.

        What waits for an answer is left out: it may not have been heard yet, and the reply to
        it, not another turn of the user, comes next.
        """
        ask, items = self._ask, self._history.items
        end = len(items)
        while end and items[end - 1].role in ("user", "result"):
            end -= 1
        items = items[:end]
        self._mind.read_ahead(ask, lambda: self._understood(items), instead=instead)

    def _begin_guess(self, item: Item) -> None:
        items = (*self._history.items, item)
        reply = self._reply(self._ask, items, guess=True)
        self._guess = Guess(item, self._ask, self._history.revision, reply)

    def _guess_again(self) -> None:
        """What the guess was made from has changed, the item expected has not."""
        self._withdraw()
        if self._expected is not None:
            self._begin_guess(self._expected)

    def _withdraw(self) -> None:
        if self._guess is not None:
            self._guess.reply.cancel()
            self._guess = None

    def _changed(self) -> None:
        """The history is another than the mind has read."""
        self._read_ahead(instead=True)
        self._guess_again()

    def _forget_apart(self, items: tuple[Item, ...]) -> None:
        """What was read only for a reply with a context of its own need not be kept."""
        for item in items:
            kept, _ = self._history.find(item.id)
            if kept is None or _media(kept) != _media(item):
                self._transcripts.forget(item)
                self._sights.forget(item)

    def _reply(self, ask: Ask, items: tuple[Item, ...], *, guess: bool = False) -> Reply:
        reply = Reply(
            ask,
            prepare=lambda: self._plan(ask, items),
            mouth=self._mouth,
            precedence=self._precedence,
            tasks=self._tasks,
            guess=guess,
            ahead=self._ahead,
        )
        self._replies.add(reply)
        reply.task.add_done_callback(lambda _: self._replies.discard(reply))
        return reply


def _media(item: Item) -> list[str]:
    return [part.media_id for part in item.parts]


def _grown(expected: Item, item: Item) -> bool:
    """Whether `item` is `expected` with nothing but more sound."""
    if expected.role != item.role or len(expected.parts) != len(item.parts):
        return False
    return all(
        (a.text, a.image_url, a.media_id) == (b.text, b.image_url, b.media_id)
        and len(a.pcm or b"") <= len(b.pcm or b"")
        for a, b in zip(expected.parts, item.parts, strict=True)
    )
