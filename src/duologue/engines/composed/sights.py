"""What there is to read in the user's images: images in, items whose image parts have text out.

Work begins when an item is put, so that a reply finds it done or under way. The text says
what was read and that nothing else is known. Told only that, a small model still invents what
it might have seen; so a note to it follows the item, in the prompt and not in the conversation.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

import msgspec

from duologue.core.talk import Item, Part
from duologue.engines.composed.parts import Eye
from duologue.engines.composed.tasks import Tasks
from duologue.errors import EngineFault

log = logging.getLogger(__name__)

MOST_CHARACTERS = 2000
"""Of what is read in one image: about a page, and an eighth of the model's window."""

READ = '(an image; text read in it: "{text}")'
READ_IN_PART = '(an image; the beginning of the text read in it: "{text}")'
NOTHING_TO_READ = "(an image without readable text; you cannot see pictures)"
NOT_READ = "(an image that could not be read; you cannot see pictures)"

UNSEEN = (
    "You are blind and do not know what the image shows. Only text that was read in it is known "
    "to you. Asked for anything else in the image, say: I can't see pictures, I can only read "
    "text in them."
)
UNSEEN_BUT_READ = (
    f'{UNSEEN} For example: "What colour is it?" - "I can\'t see pictures, I can only read text '
    'in them."'
)
"""Without the example the model refuses what it could answer from the text; with it and nothing
read, there is nothing to add."""


class Sights:
    """What was read in the images of one talk, each read once. Without an eye, nothing is."""

    def __init__(self, eye: Eye | None, tasks: Tasks) -> None:
        self._eye = eye
        self._tasks = tasks
        self._work: dict[str, asyncio.Task[str]] = {}

    def begin(self, item: Item) -> None:
        """Start on an item's images, unless that was done before."""
        for key, image_url in _images(item):
            if self._eye is not None and key not in self._work:
                assert key, "an image without a name"
                self._work[key] = self._tasks.start(_read(self._eye, image_url), f"see {key}")

    def forget(self, item: Item) -> None:
        """An item is gone."""
        for key, _ in _images(item):
            if (task := self._work.pop(key, None)) is not None:
                task.cancel()

    async def read(self, items: Sequence[Item]) -> tuple[Item, ...]:
        """The items with text for every image and a note after it; waits for what is under way."""
        for item in items:
            self.begin(item)
        return tuple([piece for item in items for piece in await self._seen(item)])

    async def _seen(self, item: Item) -> tuple[Item, ...]:
        texts = {key: await self._text(key) for key, _ in _images(item)}
        if not texts:
            return (item,)
        parts = tuple(
            msgspec.structs.replace(part, text=texts[part.media_id]) if part.image_url else part
            for part in item.parts
        )
        was_read = not {NOTHING_TO_READ, NOT_READ}.issuperset(texts.values())
        note = Part(UNSEEN_BUT_READ if was_read else UNSEEN)
        shown = msgspec.structs.replace(item, parts=parts)
        return shown, Item(f"{item.id}#note", "system", (note,))

    async def _text(self, key: str) -> str:
        task = self._work.get(key)
        if task is None:
            return NOT_READ
        await asyncio.wait([task])
        return NOT_READ if task.cancelled() else task.result()


def text_read(shown: str) -> str:
    """What was read in an image, of the words that stand for it; "" if nothing was."""
    for form in (READ, READ_IN_PART):
        before, after = form.split("{text}")
        if shown.startswith(before) and shown.endswith(after):
            return shown.removeprefix(before).removesuffix(after)
    return ""


async def _read(eye: Eye, image_url: str) -> str:
    try:
        text = (await eye.read(image_url)).strip()
    except EngineFault as fault:
        log.warning("an image was not read: %s", fault)
        return NOT_READ
    if not text:
        return NOTHING_TO_READ
    if len(text) > MOST_CHARACTERS:
        return READ_IN_PART.format(text=text[:MOST_CHARACTERS])
    return READ.format(text=text)


def _images(item: Item) -> Iterator[tuple[str, str]]:
    """The images of an item by `media_id`."""
    for part in item.parts:
        if part.image_url is not None:
            yield part.media_id, part.image_url
