"""Items that a client brings: checked, completed with id and status, their sound set apart.

A client's item goes in, the item as everybody will see it and its sound come out, or a
refusal with the path of what is wrong (reference 3.6).
"""

from collections.abc import Callable

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

ALLOWED_CONTENT: dict[str, tuple[type[Content], ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio, InputImage),
    "assistant": (OutputText, OutputAudio),
}
"""Which content parts a message of each role may bring."""

IMAGE_PREFIXES = ("data:image/png;base64,", "data:image/jpeg;base64,")


def complete_item(item: Item, new_id: Callable[[str], str], param: str) -> tuple[Item, bytes]:
    """`item` with id, status and no sound bytes, and its sound (24 kHz PCM) beside it."""
    item_id = item.id or new_id("item")
    match item:
        case MessageItem(role=role, content=content):
            parts: list[Content] = []
            sound = b""
            for index, part in enumerate(content):
                shown, pcm = _part(role, part, f"{param}.content[{index}]")
                parts.append(shown)
                sound += pcm
            shown_content = tuple(parts)
            message = structs.replace(item, id=item_id, status="completed", content=shown_content)
            return message, sound
        case FunctionCallItem():
            call_id = item.call_id or new_id("call")
            return structs.replace(item, id=item_id, status="completed", call_id=call_id), b""
        case FunctionCallOutputItem():
            return structs.replace(item, id=item_id, status="completed"), b""
    kind = str(item.__struct_config__.tag)
    raise Refusal(
        "invalid_value",
        f"Items of type '{kind}' cannot be created by the client on this server.",
        f"{param}.type",
    )


def _part(role: str, part: Content, param: str) -> tuple[Content, bytes]:
    if not isinstance(part, ALLOWED_CONTENT[role]):
        kinds = " and ".join(f"'{kind.__struct_config__.tag}'" for kind in ALLOWED_CONTENT[role])
        raise Refusal(
            "invalid_value",
            f"Invalid value: '{part.__struct_config__.tag}'. "
            f"Supported for messages of role '{role}' are: {kinds}.",
            f"{param}.type",
        )
    match part:
        case OutputAudio():
            # The assistant's sound cannot be injected, only what it said (reference 3.6).
            raise Refusal(
                "missing_required_parameter",
                f"Missing required parameter: '{param}.text'.",
                f"{param}.text",
            )
        case InputAudio(audio=sound):
            if sound is UNSET:
                message = f"Missing required parameter: '{param}.audio'."
                raise Refusal("missing_required_parameter", message, f"{param}.audio")
            whole = len(sound) - len(sound) % audio.SAMPLE_BYTES
            return InputAudio(transcript=part.transcript), sound[:whole]
        case InputImage(image_url=url):
            if not url.startswith(IMAGE_PREFIXES):
                message = "Invalid value. Images must be data URIs of PNG or JPEG."
                raise Refusal("invalid_value", message, f"{param}.image_url")
            return part, b""
        case InputText() | OutputText():
            return part, b""
