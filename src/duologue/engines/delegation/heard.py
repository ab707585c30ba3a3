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
"""The words of an item's sound, "" where there are none. Raises `EngineFault`."""


def hearing(transcriber: Transcriber) -> Hear:
    """What a transcriber hears, without a hint of the language."""

    async def hear(item_id: str, pcm: bytes) -> str:
        ask = TranscriptionAsk(next(iter(transcriber.models.names), ""))
        async for heard in transcriber.transcribe(item_id, pcm, ask):
            if isinstance(heard, Transcript):
                return heard.text
        return ""

    return hear


class Heard:
    """The newest spoken turns of one talk; `tasks` are the talk's."""

    def __init__(self, hear: Hear, tasks: Tasks) -> None:
        self._hear = hear
        self._tasks = tasks
        self._sounds: dict[str, bytes] = {}

    def note(self, item: Item) -> None:
        """Keep what an item of the user sounds like, where nobody has written it down."""
        for part in item.parts:
            if item.role == "user" and part.pcm and not part.text:
                self._sounds[item.id] = part.pcm
        while len(self._sounds) > MOST_TURNS:
            del self._sounds[next(iter(self._sounds))]

    def forget(self, item_id: str) -> None:
        """An item was deleted."""
        self._sounds.pop(item_id, None)

    async def words(self) -> dict[str, str]:
        """The words of those turns, by item; those that come too late, or not, are left out."""
        if not self._sounds:
            return {}
        # Not cancelled where they are late: others may wait for the same words.
        tasks = {
            item_id: self._tasks.start(self._words(item_id, pcm), "words")
            for item_id, pcm in self._sounds.items()
        }
        done, _ = await asyncio.wait(tasks.values(), timeout=PATIENCE_S)
        words = {item_id: task.result() for item_id, task in tasks.items() if task in done}
        for item_id, text in words.items():
            if text:
                self.forget(item_id)
        return {item_id: text for item_id, text in words.items() if text}

    async def _words(self, item_id: str, pcm: bytes) -> str:
        try:
            return (await self._hear(item_id, pcm)).strip()
        except EngineFault as fault:
            log.info("a spoken turn could not be written down for the expert: %s", fault)
            return ""
