"""What the user said, in words: the newest spoken turns, written down when the expert needs them.

An engine that hears sound itself has no words for it, and the expert reads nothing else. The
server's transcriber hears an item once, whoever asks, so most often the words are there.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from duologue.core.talk import Item, Transcript, TranscriptionAsk
from duologue.engines.composed.tasks import Tasks
from duologue.errors import EngineFault
from duologue.runtime.ports import Transcriber

log = logging.getLogger(__name__)

MOST_TURNS = 4
"""Spoken turns whose sound is kept for it: what was said before that was asked about before."""

PATIENCE_S = 2.0
"""A question waits no longer for words; it says by itself what is asked."""

Hear = Callable[[str, bytes], Awaitable[str]]
"""The words of a sound, named by its `media_id`; "" where there are none. Raises `EngineFault`."""


def hearing(transcriber: Transcriber) -> Hear:
    """What a transcriber hears, without a hint of the language."""

    async def hear(media_id: str, pcm: bytes) -> str:
        ask = TranscriptionAsk(next(iter(transcriber.models.names), ""))
        async for heard in transcriber.transcribe(media_id, pcm, ask):
            if isinstance(heard, Transcript):
                return heard.text
        return ""

    return hear


class Heard:
    """The newest spoken turns of one talk; `tasks` are the talk's, `patience_s` is for words."""

    def __init__(self, hear: Hear, tasks: Tasks, patience_s: float = PATIENCE_S) -> None:
        self._hear = hear
        self._tasks = tasks
        self._patience_s = patience_s
        self._turns: dict[str, dict[str, bytes]] = {}
        """By item, its sounds by `media_id`."""

    def note(self, item: Item) -> None:
        """Keep what an item of the user sounds like, where nobody has written it down."""
        sounds = {p.media_id: p.pcm for p in item.parts if p.pcm and p.media_id and not p.text}
        if item.role == "user" and sounds:
            self._turns[item.id] = sounds
        while len(self._turns) > MOST_TURNS:
            del self._turns[next(iter(self._turns))]

    def forget(self, item_id: str) -> None:
        """An item was deleted."""
        self._turns.pop(item_id, None)

    async def words(self) -> dict[str, str]:
        """The words of their sounds, by `media_id`, but not those that come too late, or not."""
        if not self._turns:
            return {}
        # Not cancelled where they are late: others may wait for the same words.
        tasks = {
            item_id: self._tasks.start(self._words(sounds), "words")
            for item_id, sounds in self._turns.items()
        }
        done, _ = await asyncio.wait(tasks.values(), timeout=self._patience_s)
        words: dict[str, str] = {}
        for item_id, task in tasks.items():
            if task in done and (heard := task.result()):
                self.forget(item_id)
                words |= heard
        return words

    async def _words(self, sounds: dict[str, bytes]) -> dict[str, str]:
        try:
            words = {name: (await self._hear(name, pcm)).strip() for name, pcm in sounds.items()}
        except EngineFault as fault:
            log.info("a spoken turn could not be written down for the expert: %s", fault)
            return {}
        return {name: text for name, text in words.items() if text}
