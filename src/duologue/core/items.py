"""Items that a client brings: completed with id and status, their sound set apart.

A client's item goes in, the item as everybody will see it and its sound come out, or a
refusal with the path of what is wrong (reference 3.6). That a message's parts fit its role was
seen to when the event was read (`events/rules.py`).
"""

from collections.abc import Callable

import msgspec
from msgspec import UNSET, structs

from duologue.audio import pcm as audio
from duologue.errors import Refusal
from duologue.events import (
    Content,
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    Item,
    MessageItem,
    OutputAudio,
    OutputText,
)

IMAGE_PREFIXES = ("data:image/png;base64,", "data:image/jpeg;base64,")


def complete_item(
    item: Item, new_id: Callable[[str], str], param: str
) -> tuple[Item, dict[int, bytes]]:
    """`item` with id, status and no sound bytes; its sound (24 kHz PCM) by content index."""
    item_id = item.id or new_id("item")
    match item:
        case MessageItem(content=content):
            parts: list[Content] = []
            sounds: dict[int, bytes] = {}
            for index, part in enumerate(content):
                shown, pcm = _part(part, f"{param}.content[{index}]")
                parts.append(shown)
                if pcm:
                    sounds[index] = pcm
            shown_content = tuple(parts)
            message = structs.replace(item, id=item_id, status="completed", content=shown_content)
            return message, sounds
        case FunctionCallItem():
            call_id = item.call_id or new_id("call")
            return structs.replace(item, id=item_id, status="completed", call_id=call_id), {}
        case FunctionCallOutputItem():
            return structs.replace(item, id=item_id, status="completed"), {}
    kind = str(item.__struct_config__.tag)
    raise Refusal(
        "invalid_value",
        f"Items of type '{kind}' cannot be created by the client on this server.",
        f"{param}.type",
    )


def without_images(item: Item) -> Item:
    """`item` as it is shown when it is added: images, like sound, come only when retrieved.

    Clients keep the images they sent, and what is shown twice need not fill their frames.
    """
    if not isinstance(item, MessageItem):
        return item
    content = tuple(
        structs.replace(part, image_url=UNSET) if isinstance(part, InputImage) else part
        for part in item.content
    )
    return structs.replace(item, content=content)


def _part(part: Content, param: str) -> tuple[Content, bytes]:
    match part:
        case OutputAudio() | InputAudio(audio=msgspec.UNSET) | InputImage(image_url=msgspec.UNSET):
            raise AssertionError(f"{param} should have been refused when it was read")
        case InputAudio(audio=sound):
            assert sound is not UNSET
            whole = len(sound) - len(sound) % audio.SAMPLE_BYTES
            return InputAudio(transcript=part.transcript), sound[:whole]
        case InputImage(image_url=url):
            assert url is not UNSET
            if not url.startswith(IMAGE_PREFIXES):
                message = "Invalid value. Images must be data URIs of PNG or JPEG."
                raise Refusal("invalid_value", message, f"{param}.image_url")
            return part, b""
        case InputText() | OutputText():
            return part, b""
