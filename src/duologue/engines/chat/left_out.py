"""What the upstream would not take: items in, the items that it can be sent out.

Every request holds the whole conversation, so one image that a model cannot look at would fail
this turn and all that follow. After a refusal the images that no upstream has ever taken are left
out, words in their place; or the sound, where the refusal speaks of sound or comes again.
"""

import re
from collections.abc import Sequence

import msgspec

from duologue.core.talk import Item, Part

OF_IMAGES = re.compile(r"image|picture|vision|visual", re.IGNORECASE)
OF_SOUND = re.compile(r"audio|sound|speech|wav\b", re.IGNORECASE)

NO_IMAGE = "(An image was shown here that cannot be seen.)"
NO_SOUND = "(Something was said here that could not be heard.)"


class LeftOut:
    """What of one conversation is left out."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._suspected: set[str] = set()
        self._no_images: set[str] = set()
        self._no_sound: set[str] = set()

    def sendable(self, items: Sequence[Item]) -> Sequence[Item]:
        """The items without what is left out."""
        gone = self._no_images | self._no_sound
        if not gone:
            return items
        return [self._without(item) if item.id in gone else item for item in items]

    def took(self, items: Sequence[Item]) -> None:
        """Note that an upstream took `items`: whatever it refuses later, it is none of these."""
        self._taken.update([item.id for item in items])

    def blame(self, items: Sequence[Item], told: str) -> str | None:
        """Leave out what a refusal of `items` may be about; says what that is, if anything."""
        new = [item for item in items if item.id not in self._taken]
        of_images, of_sound = bool(OF_IMAGES.search(told)), bool(OF_SOUND.search(told))
        images = {item.id for item in new if _images(item)}
        if images and (of_images or not of_sound):
            self._no_images |= images
            return "an image"
        sound = {item.id for item in new if _sound(item)}
        # Words that name nothing may be about a voice or a tool: the user is heard once more.
        if not of_sound:
            sound, self._suspected = sound & self._suspected, self._suspected | sound
        self._no_sound |= sound
        return "what the user said" if sound else None

    def forget(self, item_id: str) -> None:
        """An item was deleted: another may have its id."""
        for ids in (self._taken, self._suspected, self._no_images, self._no_sound):
            ids.discard(item_id)

    def _without(self, item: Item) -> Item:
        def sent(part: Part) -> Part:
            if part.image_url and item.id in self._no_images:
                return Part(NO_IMAGE)
            if part.pcm and item.id in self._no_sound:
                return Part(part.text or NO_SOUND)
            return part

        parts = tuple(map(sent, item.parts))
        if all(one is other for one, other in zip(parts, item.parts, strict=True)):
            return item
        return msgspec.structs.replace(item, parts=parts)


def _images(item: Item) -> bool:
    return any(part.image_url for part in item.parts)


def _sound(item: Item) -> bool:
    return any(part.pcm for part in item.parts)
