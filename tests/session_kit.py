"""Short forms that several tests of the session use."""

from typing import Any

from duologue.core.settings import SessionConfig
from duologue.events import Error, Usage
from duologue.testing.timeline import Timeline

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
"""The events of a turn of the user."""

CLOSING = [
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
"""The events that end a reply of one spoken message, however it ends."""

REPLY = [
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    *CLOSING,
]
"""The events of a reply of one spoken message in one piece."""


def played(*events: dict[str, Any], config: SessionConfig | None = None) -> Timeline:
    """A timeline of client events, 100 ms apart."""
    t = Timeline(config)
    for number, event in enumerate(events):
        t.client_sends(0.1 * (number + 1), event)
    t.run(0.1 * (len(events) + 1))
    return t


def codes(t: Timeline) -> list[str | None]:
    """The codes of the errors sent so far."""
    return [event.error.code for event in t.events(Error)]


def check_usage(usage: Usage | None) -> None:
    """The sums of reference section 6."""
    assert usage is not None
    inner, cached = usage.input_token_details, usage.input_token_details.cached_tokens_details
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert usage.input_tokens == inner.text_tokens + inner.audio_tokens + inner.image_tokens
    assert inner.cached_tokens == cached.text_tokens + cached.audio_tokens + cached.image_tokens
    assert 0 <= cached.text_tokens <= inner.text_tokens
    assert 0 <= cached.audio_tokens <= inner.audio_tokens
    assert 0 <= cached.image_tokens <= inner.image_tokens
    output = usage.output_token_details
    assert usage.output_tokens == output.text_tokens + output.audio_tokens
    assert output.text_tokens >= 0 and output.audio_tokens >= 0


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


def detect(kind: str | None = "server_vad", **turn_detection: Any) -> dict[str, Any]:
    """A change of turn detection; None switches it off."""
    chosen = {"type": kind, **turn_detection} if kind else None
    return update(audio={"input": {"turn_detection": chosen}})


def times(t: Timeline, kind: type[Any]) -> list[float]:
    """When the events of a class left, in seconds."""
    return [at for at, event in t.sent if isinstance(event, kind)]


def vad(**settings: Any) -> Timeline:
    """A timeline with `server_vad` by these settings."""
    t = Timeline()
    t.client_sends(0.05, detect("server_vad", **settings))
    return t
