"""Items of a talk as the upstream takes them: conversation items, each with our own id.

Names of calls are those that the upstream knows, see `mirror.py`.
"""

from collections.abc import Callable
from typing import Any

from duologue.core.talk import Item, Part

LONG_BYTES = 32 * 1024
"""An item with more text, sound and image than that is encoded off the event loop."""


def wire_item(item: Item, call_name: Callable[[str], str]) -> dict[str, Any]:
    """The item without an id; `call_name` maps a call id of ours to the upstream's."""
    if item.role == "call":
        assert item.call, "a call item without its call"
        return {
            "type": "function_call",
            "call_id": call_name(item.call.call_id),
            "name": item.call.name,
            "arguments": item.call.arguments,
        }
    if item.role == "result":
        output = "".join(part.text or "" for part in item.parts)
        return {
            "type": "function_call_output",
            "call_id": call_name(item.call_id or ""),
            "output": output,
        }
    kind = "output_text" if item.role == "assistant" else "input_text"
    content = [_part(part, kind) for part in item.parts]
    return {"type": "message", "role": item.role, "content": content}


def is_long(item: Item) -> bool:
    """Whether encoding it would hold the event loop up."""
    sizes = (
        len(part.text or "") + len(part.pcm or b"") + len(part.image_url or "")
        for part in item.parts
    )
    return sum(sizes) > LONG_BYTES


def _part(part: Part, kind: str) -> dict[str, Any]:
    if part.pcm:
        return {"type": "input_audio", "audio": part.pcm}
    if part.image_url:
        detail = {"detail": part.image_detail} if part.image_detail else {}
        return {"type": "input_image", "image_url": part.image_url, **detail}
    return {"type": kind, "text": part.text or ""}
