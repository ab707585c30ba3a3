"""The scripted engine as a full-duplex model: it listens while it speaks and owns the floor.

    hear ─► windows of 32 ms ─► loud or quiet ─► user_starts, user_stops
                                                   │            └─► reply_starts, Say … Done
                                                   └─ in a reply ─► yields

A fake that decides by loudness alone, on the clock of the sound that it was given; what it says
is the script's, in real time. It answers when the user has stopped, when a call's result has come
and when it is nudged, and falls silent as soon as the user is loud, or when it is hushed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from duologue.audio import pcm as audio
from duologue.core.talk import Ask, Call, Done, Floor, Item, LiveEvent, ReplyEvent, Say
from duologue.engines.scripted.engine import ScriptedEngine, ScriptedTalk
from duologue.engines.scripted.listening import LoudnessActivity
from duologue.errors import EngineFault
from duologue.runtime.ports import WINDOW_SAMPLES, Talk

logger = logging.getLogger(__name__)

WINDOW_MS = WINDOW_SAMPLES * 1000 // audio.RATE_HZ
ONSET_WINDOWS = 2
SILENCE_MS = 320
"""Quiet that ends the user's turn."""

FRAME_MS = 80
"""Sound of one `Say`, each when it is due."""

PUT_WITHIN_S = 0.5
"""How long the answer waits for the turn to be put, which brings its words."""

BEHIND_WINDOWS = 60_000 // WINDOW_MS
"""Sound that may wait to be heard: a minute."""


class ScriptedLiveEngine(ScriptedEngine):
    """Satisfies `Engine`; its talks satisfy `LiveTalk`."""

    duplex = True

    def talk(self) -> Talk:
        return ScriptedLiveTalk(self)


class _Ears:
    """Loud and quiet windows in, where speech starts and stops out."""

    def __init__(self) -> None:
        self.loud = False
        self._turned = 0
        """Windows in a row that say otherwise than `loud`."""

    def hear(self, window: bytes) -> Literal["user_starts", "user_stops"] | None:
        if (audio.loudness(window) >= LoudnessActivity.THRESHOLD) is self.loud:
            self._turned = 0
            return None
        self._turned += 1
        if self._turned * WINDOW_MS < (SILENCE_MS if self.loud else ONSET_WINDOWS * WINDOW_MS):
            return None
        self.loud = not self.loud
        self._turned = 0
        return "user_starts" if self.loud else "user_stops"


class ScriptedLiveTalk(ScriptedTalk):
    """Satisfies `LiveTalk`."""

    def __init__(self, engine: ScriptedEngine) -> None:
        super().__init__(engine)
        self._windows = audio.Windows(WINDOW_SAMPLES)
        self._waiting: deque[bytes] = deque()
        self._position_ms = 0
        self._ask = Ask()
        self._due_s: float | None = None
        """When the next reply begins, unless the user speaks then."""
        self._reply: _Reply | None = None
        self._is_nudged = self._is_hushed = False
        self._wake = asyncio.Event()
        self.gone_out: dict[str, int] = {}
        """Samples of each item that were played, as told."""

    def configure(self, ask: Ask) -> None:
        self._ask = ask

    def put(self, item: Item, after: str | None = None) -> None:
        super().put(item, after)
        if item.role == "result" or (item.role == "user" and self._due_s is not None):
            self._answer_at(asyncio.get_running_loop().time())

    def hear(self, pcm: bytes) -> None:
        self._waiting.extend(self._windows.push(pcm))
        if (lost := len(self._waiting) - BEHIND_WINDOWS) > 0:
            logger.warning("the scripted model falls behind: %d ms are lost", lost * WINDOW_MS)
            self._position_ms += lost * WINDOW_MS
            for _ in range(lost):
                self._waiting.popleft()
        self._wake.set()

    def played(self, item_id: str, samples: int) -> None:
        self.gone_out[item_id] = samples

    def nudge(self, ask: Ask) -> None:
        if self._reply is None:
            self._is_nudged = True
            self._answer_at(asyncio.get_running_loop().time())

    def hush(self) -> None:
        self._is_hushed = self._reply is not None
        if self._is_nudged:
            self._is_nudged, self._due_s = False, None
        self._wake.set()

    async def live(self, ask: Ask) -> AsyncIterator[LiveEvent]:
        clock = asyncio.get_running_loop().time
        self._ask = ask
        ears = _Ears()
        self._reply = None
        self._is_hushed = False
        while self._open:
            self._wake.clear()
            if self._is_hushed and self._reply is not None:
                self._reply = None
                yield Floor("yields", self._position_ms)
            self._is_hushed = False
            while self._waiting:
                turned = ears.hear(self._waiting.popleft())
                self._position_ms += WINDOW_MS
                if turned is None:
                    continue
                late_ms = ONSET_WINDOWS * WINDOW_MS if turned == "user_starts" else SILENCE_MS
                yield Floor(turned, max(0, self._position_ms - late_ms))
                if turned == "user_stops":
                    self._answer_at(clock() + PUT_WITHIN_S)
                elif self._reply is not None:
                    self._reply = None
                    yield Floor("yields", self._position_ms)
            if self._reply is None and not ears.loud and self._due_s is not None:
                if clock() >= self._due_s:
                    self._due_s, self._is_nudged = None, False
                    self._reply = _Reply(self.timed(self._ask), clock())
                    yield Floor("reply_starts", self._position_ms)
            while (reply := self._reply) and reply.due_s <= clock() and not self._waiting:
                event = reply.take()
                if isinstance(event, Done):
                    self._reply = None
                yield event
            reply = self._reply
            until = reply.due_s if reply else None if ears.loud else self._due_s
            try:
                async with asyncio.timeout_at(until):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def timed(self, ask: Ask) -> Iterator[tuple[float, ReplyEvent]]:
        """The events of a reply, each with when it is due, in seconds from the beginning."""
        answer = self._answer(ask)
        yield 0.0, answer.began
        due_s, position = answer.script.first_delay_ms / 1000, 0
        for count, word in enumerate(answer.words):
            text = f" {word}" if count else word
            position += len(text)
            for frame in audio.chunks(self._engine.tone, FRAME_MS * audio.BYTES_PER_MS):
                yield due_s, Say(text, frame, position, tokens=int(bool(text)))
                text = ""
                due_s += audio.samples(frame) / audio.RATE_HZ
            due_s += answer.script.word_delay_ms / 1000
        if answer.script.fail:
            raise EngineFault(answer.script.fail)
        for index, call in enumerate(answer.calls):
            yield due_s, Call(index, name=call.name, delta=call.arguments, tokens=1)
            yield due_s, Call(index, final=True)
        yield due_s, Done("completed" if answer.is_whole else "length")

    async def aclose(self) -> None:
        await super().aclose()
        self._wake.set()

    def _answer_at(self, at_s: float) -> None:
        self._due_s = at_s
        self._wake.set()


class _Reply:
    """A reply under way: the next event, and when it is due on the loop's clock."""

    def __init__(self, events: Iterator[tuple[float, ReplyEvent]], began_s: float) -> None:
        self._events = events
        self._began_s = began_s
        self._advance()

    def take(self) -> ReplyEvent:
        event = self._event
        if not isinstance(event, Done):
            self._advance()
        return event

    def _advance(self) -> None:
        after_s, self._event = next(self._events)
        self.due_s = self._began_s + after_s
