"""What the user's sound says, kept beside the items: sound in, items whose parts have text out.

Work begins when an item is expected or put, so that a reply finds it done or under way. The
text never goes back into the history: it is a by-product of hearing.
"""

import asyncio
import logging
import traceback
from collections.abc import Iterator, Sequence

import msgspec

from duologue.core.talk import Item, Part
from duologue.engines.composed.parts import Ear
from duologue.engines.composed.tasks import Tasks
from duologue.errors import EngineFault

log = logging.getLogger(__name__)

NOT_UNDERSTOOD = "(unintelligible)"
"""Stands for sound without words: the rules of the prompt say what to do about it."""


class Heard(msgspec.Struct, frozen=True):
    """Words, and when (monotonic seconds) they were there."""

    text: str
    at_s: float


class Transcripts:
    """The transcripts of one talk's sounds, each made once: by `media_id`, as ids of items are
    the client's, which may give one to another sound."""

    def __init__(self, ear: Ear, tasks: Tasks) -> None:
        self._ear = ear
        self._tasks = tasks
        self._work: dict[str, asyncio.Task[Heard]] = {}

    def begin(self, item: Item) -> None:
        """Start on an item's sound, unless that was done before."""
        for part in _unheard(item):
            if (key := part.media_id) not in self._work:
                assert part.pcm is not None and key, "a sound without a name"
                task = self._tasks.start(self._transcribe(key, part.pcm), f"hear {key}")
                task.add_done_callback(_retrieve)
                self._work[key] = task

    def forget(self, item: Item) -> None:
        """Withdraw an item: its sound was not what will be put, or it is gone."""
        for part in item.parts:  # also one whose sound was let go when it was written down
            if (task := self._work.pop(part.media_id, None)) is not None:
                task.cancel()
                self._ear.forget(part.media_id)

    def written(self, item: Item) -> Item | None:
        """The item as it reads, without any sound; None while that is not known yet.

        For an item that is not the last any more: what could not be understood stays so.
        """
        texts: dict[int, str] = {}
        for part in _unheard(item):
            task = self._work.get(part.media_id)
            if task is None or not task.done():
                return None
            texts[id(part)] = (not _failed(task) and task.result().text) or NOT_UNDERSTOOD
        parts = (
            msgspec.structs.replace(p, text=texts.get(id(p), p.text), pcm=None) for p in item.parts
        )
        return msgspec.structs.replace(item, parts=tuple(parts))

    async def read(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """The items with text for every sound, waiting for what is under way.

        Raises `EngineFault` when the sound of the last item cannot be transcribed (it is tried
        anew each time); an older one then reads as not understood, so that one bad item does not
        end the conversation.
        """
        if items:
            self._forget_failures(items[-1])
        for item in items:
            self.begin(item)
        heard = list(items)
        for index, item in enumerate(items):
            if any(True for _ in _unheard(item)):
                heard[index] = await self._read(item, last=item is items[-1])
        return tuple(heard)

    def at_s(self, item: Item) -> float | None:
        """When the words of an item with sound were there; None for an item that was typed."""
        tasks = (self._work.get(part.media_id) for part in _unheard(item))
        done = [task for task in tasks if task is not None]
        times = [t.result().at_s for t in done if t.done() and not _failed(t)]
        return max(times, default=None)

    def close(self) -> None:
        """Let the ear forget everything."""
        for key, task in self._work.items():
            task.cancel()
            self._ear.forget(key)
        self._work.clear()

    def _forget_failures(self, item: Item) -> None:
        """What failed when the item was put, which may be long ago, says nothing of now."""
        for part in _unheard(item):
            task = self._work.get(part.media_id)
            if task is not None and task.done() and _failed(task):
                del self._work[part.media_id]

    async def _transcribe(self, key: str, pcm: bytes) -> Heard:
        transcript = await self._ear.transcribe(key, pcm)
        return Heard(transcript.text.strip(), asyncio.get_running_loop().time())

    async def _read(self, item: Item, *, last: bool) -> Item:
        texts = {
            part.media_id: await self._text(part.media_id, last=last) for part in _unheard(item)
        }
        parts = tuple(
            msgspec.structs.replace(p, text=texts.get(p.media_id, p.text), pcm=None)
            for p in item.parts
        )
        return msgspec.structs.replace(item, parts=parts)

    async def _text(self, key: str, *, last: bool) -> str:
        task = self._work.get(key)
        if task is None:
            return NOT_UNDERSTOOD
        await asyncio.wait([task])
        if not _failed(task):
            return task.result().text or NOT_UNDERSTOOD
        if last and not task.cancelled():
            if self._work.get(key) is task:
                del self._work[key]
            error = task.exception()
            if isinstance(error, EngineFault):
                raise EngineFault(error.message, error.code)
            raise EngineFault(f"the user's speech could not be transcribed: {error}") from error
        return NOT_UNDERSTOOD


def _unheard(item: Item) -> Iterator[Part]:
    """The parts that are sound without text."""
    return (part for part in item.parts if part.pcm is not None and part.text is None)


def _failed(task: asyncio.Task[Heard]) -> bool:
    return task.cancelled() or task.exception() is not None


def _retrieve(task: asyncio.Task[Heard]) -> None:
    """Look at a failure, so that asyncio does not call it lost: a reply may never ask."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.warning("transcription failed: %s", error)
        traceback.clear_frames(error.__traceback__)  # they refer to the sound
