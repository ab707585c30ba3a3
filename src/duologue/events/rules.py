"""Rules on client events that types cannot say: parts by role, keys that fit one kind only.

Each rule raises the `Refusal` that names the offending path, or returns quietly.
"""

from typing import Any

from msgspec import UNSET, Struct

from duologue.errors import Refusal
from duologue.events.client import (
    ClientEvent,
    ConversationItemCreate,
    ResponseCreate,
    SessionUpdate,
)
from duologue.events.faults import bad_choice
from duologue.events.items import (
    Content,
    InputAudio,
    InputImage,
    InputText,
    MessageItem,
    OutputAudio,
    OutputText,
)
from duologue.events.session import (
    RealtimeSessionUpdate,
    SemanticVad,
    TranscriptionSemanticVad,
    TranscriptionSessionUpdate,
)

_PARTS: dict[str, tuple[type[Content], ...]] = {
    "system": (InputText,),
    "user": (InputText, InputAudio, InputImage),
    "assistant": (OutputText, OutputAudio),
}

_CONVERSATION_ONLY = frozenset(RealtimeSessionUpdate.__struct_fields__) - frozenset(
    TranscriptionSessionUpdate.__struct_fields__
)
"""Keys of the session that only a conversation has."""


def check_items(event: ClientEvent) -> None:
    """Refuse messages whose parts do not fit their role."""
    if isinstance(event, ConversationItemCreate):
        if isinstance(event.item, MessageItem):
            _check_message(event.item, "item")
    elif isinstance(event, ResponseCreate) and event.response.input is not UNSET:
        for index, item in enumerate(event.response.input):
            if isinstance(item, MessageItem):
                _check_message(item, f"response.input[{index}]")


def _check_message(item: MessageItem, path: str) -> None:
    allowed = _PARTS[item.role]
    for index, part in enumerate(item.content):
        where = f"{path}.content[{index}]"
        if not isinstance(part, allowed):
            tags = tuple(kind.__struct_config__.tag for kind in allowed)
            raise bad_choice(part.__struct_config__.tag, tags, f"{where}.type")
        # An assistant's sound cannot be injected, only its text.
        missing = (
            "text"
            if isinstance(part, OutputAudio)
            else "audio"
            if isinstance(part, InputAudio) and part.audio is UNSET
            else "image_url"
            if isinstance(part, InputImage) and part.image_url is UNSET
            else None
        )
        if missing:
            raise Refusal(
                "missing_required_parameter",
                f"Missing required parameter: '{where}.{missing}'.",
                f"{where}.{missing}",
            )


def check_idle_timeout(raw: dict[str, Any], event: ClientEvent) -> None:
    """Refuse an idle timeout of `semantic_vad`, which has none: it would never come (C-056)."""
    if not isinstance(event, SessionUpdate) or not event.session.audio:
        return
    given = event.session.audio.input
    if not given or not isinstance(given.turn_detection, SemanticVad | TranscriptionSemanticVad):
        return
    if raw["session"]["audio"]["input"]["turn_detection"].get("idle_timeout_ms") is not None:
        where = "session.audio.input.turn_detection.idle_timeout_ms"
        message = f"Invalid '{where}': only turn detection of type 'server_vad' has one."
        raise Refusal("invalid_value", message, where)


def check_no_unknown_keys(raw: Any, typed: Any, path: str = "") -> None:
    """Refuse the first key of `raw` that the struct `typed`, made from it, has no field for."""
    if isinstance(typed, tuple):
        for index, (raw_one, typed_one) in enumerate(zip(raw, typed, strict=True)):
            check_no_unknown_keys(raw_one, typed_one, f"{path}[{index}]")
    elif isinstance(typed, Struct):
        for key, value in raw.items():
            where = f"{path}.{key}" if path else key
            if key in typed.__struct_fields__:
                check_no_unknown_keys(value, getattr(typed, key), where)
            elif key != typed.__struct_config__.tag_field:
                raise Refusal("unknown_parameter", f"Unknown parameter: '{where}'.", where)


def check_transcription_keys(raw: dict[str, Any]) -> None:
    """Refuse settings of a conversation in an update of a transcription session (C-182).

    They are known keys in the wrong place, so they are refused where unknown keys are ignored.
    """
    match raw:
        case {"type": "session.update", "session": {"type": "transcription"} as session}:
            audio = session.get("audio")
            wrong = [f"session.{key}" for key in session if key in _CONVERSATION_ONLY]
            if isinstance(audio, dict) and "output" in audio:
                wrong.append("session.audio.output")
            for where in wrong:
                raise Refusal("unknown_parameter", f"Unknown parameter: '{where}'.", where)
