"""Images in client events: made anew before the core sees them, refused by path."""

from typing import Any

import msgspec
import pytest

from duologue.core.inputs import BadEvent, Received
from duologue.errors import Refusal
from duologue.events import ClientEvent, ConversationItemCreate, ResponseCreate
from duologue.runtime.input_images import MOST_IMAGES, with_clean_images


class Stamp:
    """Satisfies `Images`: marks what it took, and refuses what is called bad."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def take(self, image_url: str) -> str:
        self.taken.append(image_url)
        if image_url == "bad":
            raise Refusal("image_parse_error", "The image is damaged.")
        return f"clean {image_url}"

    async def aclose(self) -> None: ...


def message(*urls: str) -> dict[str, Any]:
    images = [{"type": "input_image", "image_url": url} for url in urls]
    content = [{"type": "input_text", "text": "Look."}, *images]
    return {"type": "message", "role": "user", "content": content}


def event(raw: dict[str, Any]) -> ConversationItemCreate | ResponseCreate:
    decoded: Any = msgspec.convert({"event_id": "mine", **raw}, ClientEvent)
    return decoded


def create(*urls: str) -> ConversationItemCreate | ResponseCreate:
    return event({"type": "conversation.item.create", "item": message(*urls)})


def respond(*messages: dict[str, Any]) -> ConversationItemCreate | ResponseCreate:
    return event({"type": "response.create", "response": {"input": list(messages)}})


async def test_images_of_items_and_of_responses_are_made_anew() -> None:
    assert await with_clean_images(create("a", "b"), Stamp()) == Received(
        create("clean a", "clean b")
    )
    given = respond(message(), message("a"), {"type": "item_reference", "id": "i"})
    made = respond(message(), message("clean a"), {"type": "item_reference", "id": "i"})
    assert await with_clean_images(given, Stamp()) == Received(made)


@pytest.mark.parametrize("given", [create(), respond(), event({"type": "response.create"})])
async def test_events_without_images_stay_as_they_are(given: ResponseCreate) -> None:
    stamp = Stamp()
    taken = await with_clean_images(given, stamp)
    assert isinstance(taken, Received) and taken.event is given and stamp.taken == []


async def test_a_bad_image_refuses_the_event_with_its_path() -> None:
    refused = await with_clean_images(create("a", "bad"), Stamp())
    path = "item.content[2].image_url"
    assert refused == BadEvent("image_parse_error", "The image is damaged.", path, "mine")
    refused = await with_clean_images(respond(message(), message("bad")), Stamp())
    assert isinstance(refused, BadEvent)
    assert refused.param == "response.input[1].content[1].image_url"


async def test_one_event_may_not_bring_an_album() -> None:
    stamp = Stamp()
    refused = await with_clean_images(create(*["a"] * (MOST_IMAGES + 1)), stamp)
    assert isinstance(refused, BadEvent) and refused.param == "item.content"
    assert stamp.taken == []
    per_item = message(*["a"] * 6)
    refused = await with_clean_images(respond(per_item, per_item), stamp)
    assert isinstance(refused, BadEvent) and refused.param == "response.input"
