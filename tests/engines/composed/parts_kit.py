"""A scripted ear, mind and mouth: deterministic, without weights, strict about their contracts.

Sound is its own transcript: the bytes of a user's "sound" are the words, silence is zeros.
One character is one token. A `Gate` holds a part back until a test opens it.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

from duologue.core.talk import Item, Part, Transcript
from duologue.engines.composed.parts import Finish, Word
from duologue.engines.light.text_model import Begun, Piece
from duologue.errors import EngineBusy, EngineFault

MS_PER_CHAR = 10


def sound(words: str, silence: int = 0) -> bytes:
    data = words.encode()
    return data + b"\0" * (len(data) % 2 + 2 * silence)


def spoken(item_id: str, words: str, silence: int = 0, media_id: str = "") -> Item:
    """A user item of sound that says `words`; its sound is named as the item, unless told."""
    return Item(
        id=item_id,
        role="user",
        parts=(Part(pcm=sound(words, silence), media_id=media_id or item_id),),
    )


def typed(item_id: str, text: str) -> Item:
    return Item(id=item_id, role="user", parts=(Part(text=text),))


def said(item_id: str, text: str) -> Item:
    """The engine's own reply, as the core puts it back."""
    return Item(id=item_id, role="assistant", parts=(Part(text=text),))


class Gate:
    """Open unless shut; counts who came and who waits."""

    def __init__(self) -> None:
        self.came = 0
        self._open = asyncio.Event()
        self._open.set()
        self._arrived = asyncio.Event()

    def shut(self) -> None:
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    async def arrived(self) -> None:
        """Wait until somebody has come since the last call."""
        await self._arrived.wait()
        self._arrived.clear()

    async def passed(self) -> None:
        self.came += 1
        self._arrived.set()
        await self._open.wait()


class ScriptedEar:
    def __init__(self) -> None:
        self.gate = Gate()
        self.fault: EngineFault | None = None
        self.heard: list[str] = []
        self.forgotten: list[str] = []

    async def transcribe(
        self, media_id: str, pcm: bytes, language: str | None = None, prompt: str | None = None
    ) -> Transcript:
        self.heard.append(media_id)
        await self.gate.passed()
        if self.fault is not None:
            raise self.fault
        return Transcript(text=pcm.rstrip(b"\0").decode(), seconds=len(pcm) / 48_000)

    def forget(self, media_id: str) -> None:
        self.forgotten.append(media_id)


class ScriptedEye:
    """The text of an image is what stands after the comma of its data URI."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.fault: EngineFault | None = None
        self.read_urls: list[str] = []
        self.closed = False

    async def read(self, image_url: str) -> str:
        self.read_urls.append(image_url)
        await self.gate.passed()
        if self.fault is not None:
            raise self.fault
        return image_url.partition(",")[2]

    async def aclose(self) -> None:
        self.closed = True


Script = Callable[[str], str] | Mapping[str, str] | str
"""What is generated: from the prompt, by the last words of the user, or always the same."""


class ScriptedLease:
    def __init__(self, mind: "ScriptedMind") -> None:
        self._mind = mind
        self.cache = ""
        self.busy = False
        self.prompts: list[str] = []
        self.prefilled: list[str] = []
        self.released = False

    async def prefill(self, prompt: str) -> None:
        assert not self.busy and not self.released
        self.busy = True
        try:
            await self._mind.prefill_gate.passed()
            self.cache = prompt
            self.prefilled.append(prompt)
        finally:
            self.busy = False
            self._mind.change()

    async def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncGenerator[Begun | Piece | Finish, None]:
        assert not self.busy and not self.released, "one request at a time on a lease"
        self.busy = True
        self.prompts.append(prompt)
        self._mind.change()
        cached = _common(self.cache, prompt)
        self.cache = prompt
        try:
            run = self._mind.generate(prompt, max_tokens, grammar, cached)
            async with contextlib.aclosing(run) as events:
                async for event in events:
                    if isinstance(event, Piece):
                        self.cache += event.text
                    yield event
        finally:
            self.busy = False

    def release(self) -> None:
        assert not self.busy and not self.released
        self.released = True
        self._mind.leases.remove(self)


class ScriptedMind:
    context_tokens = 100_000
    parameters = 2_000_000_000

    def __init__(self, script: Script = "Yes.", places: int = 4) -> None:
        self.script = script
        self.places = places
        self.gate = Gate()
        self.prefill_gate = Gate()
        self.fault: EngineFault | None = None
        self.fault_after = 0
        self.running = 0
        self.counted = 0
        self.leases: list[ScriptedLease] = []
        self.outside: list[str] = []
        self.grammars: list[str | None] = []
        self.closed = False
        self._changed = asyncio.Event()

    def change(self) -> None:
        """Whoever waits `until` something looks again."""
        self._changed.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of this model or its leases."""
        while not true():
            self._changed.clear()
            await self._changed.wait()

    async def warm(self, prompt: str) -> None:
        """Nothing to read ahead."""

    def lease(self, prompt: str = "") -> ScriptedLease:
        if len(self.leases) >= self.places:
            raise EngineBusy("every place is taken")
        self.leases.append(ScriptedLease(self))
        return self.leases[-1]

    async def complete(
        self, prompt: str, *, max_tokens: int, grammar: str | None = None, stop: Sequence[str] = ()
    ) -> AsyncGenerator[Begun | Piece | Finish, None]:
        self.outside.append(prompt)
        async with contextlib.aclosing(self.generate(prompt, max_tokens, grammar, 0)) as events:
            async for event in events:
                yield event

    async def generate(
        self, prompt: str, max_tokens: int, grammar: str | None, cached: int
    ) -> AsyncGenerator[Begun | Piece | Finish, None]:
        self.grammars.append(grammar)
        self.running += 1
        try:
            text = self._text(prompt)
            yield Begun(len(prompt), cached)
            pieces = re.findall(r"\s*\S+|\s+$", text[:max_tokens])
            for count, piece in enumerate(pieces):
                await self.gate.passed()
                if self.fault is not None and count >= self.fault_after:
                    raise self.fault
                yield Piece(piece)
            reason = "length" if len(text) > max_tokens else "stop"
            yield Finish(reason, sum(map(len, pieces)))
        finally:
            self.running -= 1
            self.change()

    def count_tokens(self, text: str) -> int:
        self.counted += 1
        self.change()
        return len(text)

    async def aclose(self) -> None:
        self.closed = True

    def _text(self, prompt: str) -> str:
        if isinstance(self.script, str):
            return self.script
        if callable(self.script):
            return self.script(prompt)
        turns = prompt.split("<|im_start|>user\n")
        return self.script[turns[-1].split("<|im_end|>")[0]]


class ScriptedMouth:
    voices: Mapping[str, str] = {"plain": "ten milliseconds a character"}

    def __init__(self) -> None:
        self.gate = Gate()
        self.fault: EngineFault | None = None
        self.clauses: list[str] = []
        self.closed = False

    async def speak(self, clause: str, *, voice: str, speed: float) -> Sequence[Word]:
        self.clauses.append(clause)
        await self.gate.passed()
        if self.fault is not None:
            raise self.fault
        ends = [m.end() for m in re.finditer(r"\S+", clause)]
        if not ends:
            return [Word(len(clause), b"")]
        ends[-1] = len(clause)
        starts = [0, *ends[:-1]]
        return [
            Word(b, b"\1\0" * (24 * MS_PER_CHAR * (b - a)))
            for a, b in zip(starts, ends, strict=True)
        ]

    async def aclose(self) -> None:
        self.closed = True


def _common(a: str, b: str) -> int:
    count = 0
    for x, y in zip(a, b, strict=False):
        if x != y:
            break
        count += 1
    return count
