"""Tools, calls and sound in the words of the chat-completions protocol: what its requests share.

What else an item becomes differs: a model that hears gets sound, one that reads gets words.
"""

import base64
import io
import wave
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from duologue.audio import pcm as audio
from duologue.core.talk import CallPart, Tool

Message = dict[str, Any]


def tool_of(tool: Tool) -> Message:
    """A tool as it is offered."""
    shown: Message = {
        "name": tool.name,
        "parameters": dict(tool.parameters) or {"type": "object", "properties": {}},
    }
    if tool.description:
        shown["description"] = tool.description
    return {"type": "function", "function": shown}


def tool_choice(choice: str) -> str | Message:
    """`Ask.tool_choice` as it is asked for."""
    kind, _, name = choice.partition(":")
    return {"type": "function", "function": {"name": name}} if kind == "function" else choice


def wav(pcm: bytes) -> bytes:
    """`pcm` (24 kHz mono s16le) as a WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(audio.SAMPLE_BYTES)
        sound.setframerate(audio.RATE_HZ)
        sound.writeframes(pcm)
    return file.getvalue()


def input_audio(pcm: bytes) -> Message:
    """Sound as a part of a message. Takes time for long sound."""
    data = base64.b64encode(wav(pcm)).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def called(
    text: str, calls: Sequence[CallPart], results: Mapping[str | None, str], pending: str
) -> Iterator[Message]:
    """Calls in one message with what was said before them, and their results right behind.

    The protocol wants a result for each: `pending` stands where there is none.
    """
    yield {
        "role": "assistant",
        "content": text or None,
        "tool_calls": [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments or "{}"},
            }
            for call in calls
        ],
    }
    for call in calls:
        content = results.get(call.call_id, pending)
        yield {"role": "tool", "tool_call_id": call.call_id, "content": content}
