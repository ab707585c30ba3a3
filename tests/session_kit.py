"""Short forms that several tests of the session use."""

from typing import Any

from duologue.events import Error
from duologue.testing.timeline import Timeline


def codes(t: Timeline) -> list[str | None]:
    """The codes of the errors sent so far."""
    return [event.error.code for event in t.events(Error)]


def update(**session: Any) -> dict[str, Any]:
    return {"type": "session.update", "session": {"type": "realtime", **session}}


def create(**response: Any) -> dict[str, Any]:
    return {"type": "response.create", "response": response}


def add(item: dict[str, Any], **event: Any) -> dict[str, Any]:
    return {"type": "conversation.item.create", "item": item, **event}


def user(text: str, **item: Any) -> dict[str, Any]:
    content = [{"type": "input_text", "text": text}]
    return {"type": "message", "role": "user", "content": content, **item}


def truncate(item_id: str, end_ms: int) -> dict[str, Any]:
    return {
        "type": "conversation.item.truncate",
        "item_id": item_id,
        "content_index": 0,
        "audio_end_ms": end_ms,
    }
