"""Images in client events: each is checked and made anew before the event stands in line.

A decoded event goes in; the same event with clean images comes out, or the refusal of it as
a whole, with the path of the image that is wrong. Nothing else of an event is looked at.
"""

from msgspec import UNSET, structs

from duologue.core.inputs import BadEvent, Received
from duologue.errors import Refusal
from duologue.events import (
    ConversationItemCreate,
    InputImage,
    InputItem,
    MessageItem,
    ResponseCreate,
)
from duologue.runtime.ports import Images

MOST_IMAGES = 10
"""In one client event."""


async def with_clean_images(
    event: ConversationItemCreate | ResponseCreate, images: Images
) -> Received | BadEvent:
    """`event` with its images made anew, or what is wrong with one of them."""
    try:
        if isinstance(event, ConversationItemCreate):
            return Received(await _item_clean(event, images))
        return Received(await _input_clean(event, images))
    except Refusal as refusal:
        return BadEvent(refusal.code, refusal.message, refusal.param, event.event_id or None)


async def _item_clean(event: ConversationItemCreate, images: Images) -> ConversationItemCreate:
    count = _count(event.item)
    if not count:
        return event
    _check_count(count, "item.content")
    return structs.replace(event, item=await _clean(event.item, images, "item"))


async def _input_clean(event: ResponseCreate, images: Images) -> ResponseCreate:
    given = event.response.input
    count = 0 if given is UNSET else sum(map(_count, given))
    if given is UNSET or not count:
        return event
    _check_count(count, "response.input")
    cleaned = [await _clean(one, images, f"response.input[{n}]") for n, one in enumerate(given)]
    return structs.replace(event, response=structs.replace(event.response, input=tuple(cleaned)))


def _count(item: InputItem) -> int:
    if not isinstance(item, MessageItem):
        return 0
    return sum(isinstance(part, InputImage) for part in item.content)


def _check_count(count: int, param: str) -> None:
    if count > MOST_IMAGES:
        message = f"One event may bring {MOST_IMAGES} images, this one brings {count}."
        raise Refusal("invalid_value", message, param)


async def _clean(item: InputItem, images: Images, param: str) -> InputItem:
    if not isinstance(item, MessageItem):
        return item
    content = list(item.content)
    for index, part in enumerate(content):
        if isinstance(part, InputImage) and part.image_url is not UNSET:
            try:
                url = await images.take(part.image_url)
            except Refusal as refusal:
                where = f"{param}.content[{index}].image_url"
                raise Refusal(refusal.code, refusal.message, where) from None
            content[index] = structs.replace(part, image_url=url)
    return structs.replace(item, content=tuple(content))
