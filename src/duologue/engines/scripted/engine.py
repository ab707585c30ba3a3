"""The engine and its talks: an ask comes in, the reply of the script that fits goes out.

The history is what it is told, a word is a token, and each word is one `Say` with a tone.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence

import msgspec

from duologue.core.talk import (
    Ask,
    Began,
    Call,
    Done,
    Item,
    Part,
    ReplyEvent,
    Say,
)
from duologue.engines.scripted.script import Script, ScriptedCall, ScriptedReply
from duologue.engines.scripted.voice import Pace, tone
from duologue.engines.window import Window
from duologue.errors import EngineBusy, EngineFault
from duologue.runtime.ports import Talk, Traits


class ScriptedEngine:
    """Satisfies `Engine`."""

    duplex = False

    def __init__(self, script: Script) -> None:
        self.traits = Traits(
            duplex=self.duplex,
            reads_images=True,  # takes them, so that clients can be tested
            voices=("tone",),
            context_tokens=script.context_tokens,
            max_output_tokens=script.max_output_tokens,
        )
        self.script = script
        self.tone = tone(script.word_ms)
        self.open_talks = 0
        self.heard: dict[str, str] = {}
        """Transcript of each sound of the open talks, by `media_id`."""

    async def open(self, ask: Ask) -> Talk:
        if self.open_talks >= self.script.places:
            raise EngineBusy(f"all {self.script.places} places of the scripted engine are taken")
        self.open_talks += 1
        return self.talk()

    def talk(self) -> Talk:
        """One more conversation."""
        return ScriptedTalk(self)

    async def aclose(self) -> None:
        """Nothing to free."""


class ScriptedTalk:
    """Satisfies `Talk`: keeps the history it is told and answers from the script."""

    def __init__(self, engine: ScriptedEngine) -> None:
        self._engine = engine
        self._open = True
        self._spoken: list[str] = []
        self._window = Window()
        self._read: list[str] = []
        self.history: list[Item] = []
        self.expected: Item | None = None

    def configure(self, ask: Ask) -> None:
        """Nothing to prefill."""

    async def admit(self, ask: Ask) -> None:
        """See `Talk.admit`: each word is a token."""
        self._read_context(msgspec.structs.replace(ask, context=(), keep=False))

    def expect(self, item: Item | None) -> None:
        self.expected = item

    def put(self, item: Item, after: str | None = None) -> None:
        ids = [known.id for known in self.history]
        index = len(ids) if after is None else ids.index(after) + 1 if after else 0
        self.history.insert(index, self._hear(item))

    def _hear(self, item: Item) -> Item:
        if item.role != "user":
            return item
        return msgspec.structs.replace(item, parts=tuple(map(self._heard, item.parts)))

    def _heard(self, part: Part) -> Part:
        if not _is_voiced(part.pcm or b""):
            return part
        transcripts = self._engine.script.transcripts
        text = transcripts[len(self._spoken) % len(transcripts)] if transcripts else ""
        self._spoken.append(part.media_id)
        self._engine.heard[part.media_id] = text
        return Part(text=text)

    def drop(self, item_id: str) -> None:
        self._window.forget(item_id)
        self.history = [item for item in self.history if item.id != item_id]

    def cut(self, item_id: str, end_ms: int, text: str) -> None:
        self.history = [
            msgspec.structs.replace(
                item, parts=(msgspec.structs.replace(item.parts[0], text=text),)
            )
            if item.id == item_id and item.parts
            else item
            for item in self.history
        ]

    async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
        answer = self._answer(ask)
        reply = answer.script
        yield answer.began
        await asyncio.sleep(reply.first_delay_ms / 1000)
        position = 0
        pace = Pace(reply.frame_ms)
        for count, word in enumerate(answer.words):
            if count:
                await asyncio.sleep(reply.word_delay_ms / 1000)
            text = f" {word}" if count else word
            position += len(text)
            if not ask.speak:
                yield Say(text, tokens=1)
                continue
            for index, frame in enumerate(pace.frames(self._engine.tone)):
                await pace.next()
                yield Say("", frame, position) if index else Say(text, frame, position, tokens=1)
        if reply.fail:
            raise EngineFault(reply.fail)
        for index, call in enumerate(answer.calls):
            yield Call(index, name=call.name, delta=call.arguments, tokens=1)
            yield Call(index, final=True)
        yield Done(reason="completed" if answer.is_whole else "length")

    def _answer(self, ask: Ask) -> "Answer":
        """What the script says to the history of now."""
        context, began = self._read_context(ask)
        heard = _last_text(context)
        reply = next((r for r in self._engine.script.replies if r.when in heard), ScriptedReply())
        words = reply.text.replace("{heard}", heard).split()
        if ask.tool_choice not in ("auto", "none"):
            words = []
        limit = ask.max_tokens or self._engine.traits.max_output_tokens
        is_whole = len(words) <= limit
        return Answer(began, reply, words[:limit], _calls(reply, ask) if is_whole else (), is_whole)

    def _read_context(self, ask: Ask) -> tuple[Sequence[Item], Began]:
        """What the reply answers, and what reading it costs: the beginning may be known."""
        limit = ask.max_tokens or self._engine.traits.max_output_tokens
        head = [*ask.instructions.split(), *(tool.name for tool in ask.tools)]
        room = self._engine.traits.context_tokens - len(head) - limit
        keeps = ask.keep and ask.context is None
        window = self._window if keeps else Window() if ask.context else self._window.copy()
        items = self.history if ask.context is None else list(ask.context)
        context = window.fit(items, room, ask.truncation, lambda item: len(_words(item)))
        words = [*head, *(word for item in context for word in _words(item))]
        known = len(os.path.commonprefix([self._read, words])) if keeps else 0
        if keeps:
            self._read = words
        return context, Began({"text": len(words)}, {"text": known})

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            self._engine.open_talks -= 1
            for media_id in self._spoken:
                del self._engine.heard[media_id]


class Answer(msgspec.Struct, frozen=True):
    """One reply of the script, made out: `words` and `calls` as the ask allows them."""

    began: Began
    script: ScriptedReply
    words: Sequence[str]
    calls: Sequence[ScriptedCall]
    is_whole: bool
    """Whether the ask's limit allows all of it."""


def _calls(reply: ScriptedReply, ask: Ask) -> Sequence[ScriptedCall]:
    offered = {tool.name for tool in ask.tools}
    if ask.tool_choice == "none":
        return ()
    calls = [call for call in reply.calls if call.name in offered]
    forced = ask.tool_choice.removeprefix("function:")
    if forced in offered:
        calls = [call for call in calls if call.name == forced] or [ScriptedCall(forced)]
    elif ask.tool_choice == "required" and not calls and ask.tools:
        calls = [ScriptedCall(ask.tools[0].name)]
    return calls if ask.parallel_calls else calls[:1]


def _is_voiced(pcm: bytes) -> bool:
    # Most sound tells by its first samples; to strip it whole is to copy it.
    return any(pcm[:64]) or bool(pcm.strip(b"\0"))


def _text(item: Item) -> str:
    return " ".join(part.text for part in item.parts if part.text)


def _words(item: Item) -> list[str]:
    return [item.call.name, *item.call.arguments.split()] if item.call else _text(item).split()


def _last_text(context: Sequence[Item]) -> str:
    spoken = (_text(item) for item in reversed(context) if item.role in ("user", "result"))
    return next(spoken, "")
