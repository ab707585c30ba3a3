"""What the engine says of pictures itself, where its language model cannot be trusted with them.

    items whose images are text ──► a fixed answer, or None: the model may speak

Told that it is blind, a model of a billion parameters and a half says so; a smaller one describes
what it cannot see. So it is not asked: a turn with an image, the turn after it if that may be a
question of it, and a later one that names a picture are answered with what was read in the image
and nothing else. Any other turn reaches the model, with what was read and without the rest of these
answers, which it would go on repeating.
"""

import re
from collections.abc import Sequence

import msgspec

from duologue.core.talk import Item, Part
from duologue.engines.composed.sights import NOT_READ, UNSEEN, UNSEEN_BUT_READ, text_read

LEAST_PARAMETERS = 1_500_000_000
"""The smallest model that was seen to keep to what it was told of an image: Qwen 2.5, 1.5 B."""

MOST_CHARACTERS = 300
"""Of what was read: some twenty seconds of speech."""

BLIND = "I can't see pictures, I can only read text in them"
BLIND_BUT_READ = f"{BLIND}. What I read is: "

ASKS = re.compile(
    r"\b(image|pic|picture|photo|photograph|screenshot|drawing|colou?r)s?\b"
    r"|\b(can|do|did|could) you see\b|\blooks? like\b",
    re.IGNORECASE,
)
"""Words that ask of a picture, whenever they come."""

MAY_ASK = re.compile(
    r"\?|\b(it|its|this|that|these|those|there|the|they|them|their|he|him|his|she|her)\b",
    re.IGNORECASE,
)
"""Any question, and words that point at something: of a picture, where one was just shown."""


def answer(items: Sequence[Item]) -> str | None:
    """What to say to the newest of `items`, if that is about a picture."""
    turns = _turns(items)
    if new := _images(turns[-1]):
        return _sentence(new)
    asked = " ".join(p.text or "" for item in turns[-1] if item.role == "user" for p in item.parts)
    before = [images for turn in turns[:-1] if (images := _images(turn))]
    if not before:
        return None
    was_just_shown = bool(_images(turns[-2])) and MAY_ASK.search(asked)
    return _sentence(before[-1]) if was_just_shown or ASKS.search(asked) else None


def for_model(items: Sequence[Item]) -> Sequence[Item]:
    """What the model reads of `items`: of our answers only the text in the images, and no notes."""
    return [_plain(item) for item in items if not _is_note(item)]


def _turns(items: Sequence[Item]) -> list[list[Item]]:
    """The items in turns, of which each but the last ends with what was answered."""
    turns: list[list[Item]] = [[]]
    for item in items:
        if turns[-1] and turns[-1][-1].role in ("assistant", "call") and item.role == "user":
            turns.append([])
        turns[-1].append(item)
    return turns


def _is_note(item: Item) -> bool:
    return item.role == "system" and any(p.text in (UNSEEN, UNSEEN_BUT_READ) for p in item.parts)


def _plain(item: Item) -> Item:
    said = " ".join(part.text or "" for part in item.parts)
    if item.role != "assistant" or not said.startswith(BLIND):
        return item
    kept = said.removeprefix(BLIND_BUT_READ) if said.startswith(BLIND_BUT_READ) else "I can't see."
    return msgspec.structs.replace(item, parts=(Part(kept),))


def _images(items: Sequence[Item]) -> list[str]:
    """The words that stand for the images of `items`."""
    return [part.text or NOT_READ for item in items for part in item.parts if part.image_url]


def _sentence(images: Sequence[str]) -> str:
    texts = [text for image in images if (text := " ".join(text_read(image).split()))]
    which = "this one" if len(images) == 1 else "these"
    if texts:
        return f"{BLIND_BUT_READ}{_short('; '.join(texts))}"
    if NOT_READ in images:
        return f"{BLIND}, and {which} I could not read."
    return f"{BLIND}, and there is none in {which}."


def _short(text: str) -> str:
    if len(text) > MOST_CHARACTERS:
        return f"{text[:MOST_CHARACTERS].rpartition(' ')[0] or text[:MOST_CHARACTERS]} and more."
    return text if text.endswith((".", "!", "?")) else f"{text}."
