"""The body of one chat-completions request: an ask and the items it answers in, JSON out.

Takes time, for all sound of the history is in it as base64: to be called in a worker thread.
The rules of the format that a conversation need not know are kept here: a call is followed by
its result at once, and no call is without one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from duologue.core.talk import Ask, CallPart, Item, Part
from duologue.engines.completions import called, input_audio, tool_choice, tool_of
from duologue.engines.sizes import AUDIO_TOKENS_PER_S

Dialect = Literal["omni", "openai"]
"""Where the voice is named, and the format of sound that is asked for.

"omni" (vLLM-Omni, SGLang-Omni) reads the voice at the top of the request and sends WAV, whose
header says the sample rate; "openai" refuses what it does not know and streams pcm16 only.
"""

LIMITS = ("max_completion_tokens", "max_tokens")
"""What the limit of a reply is called. Most servers know both; reasoning models of the hosted API
refuse the second, older servers the first."""

PENDING = "(There is no result yet.)"
"""Stands for the result of a call that has none."""


class Model(msgspec.Struct, frozen=True):
    """What is asked for: the name upstream, its voices, the dialect of the request.

    `audio_tokens_per_s` is what it makes of a second of the user's sound.
    `extra` are further fields of each request, by the owner; what is our own to say stays so.
    """

    name: str
    voices: tuple[str, ...] = ()
    dialect: Dialect = "omni"
    extra: Mapping[str, Any] = {}
    audio_tokens_per_s: float = AUDIO_TOKENS_PER_S


def render(ask: Ask, items: Sequence[Item], model: Model, limit: str = LIMITS[0]) -> bytes:
    """The body of the request, as JSON; `limit` is one of `LIMITS`."""
    body: dict[str, Any] = {
        **model.extra,
        "model": model.name,
        "messages": list(_messages(ask.instructions, items)),
        "modalities": ["text", "audio"] if ask.speak else ["text"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if ask.speak:
        body |= _voice(ask.voice, model)
    if ask.max_tokens is not None:
        body[limit] = ask.max_tokens
    if ask.reasoning is not None:
        body["reasoning_effort"] = ask.reasoning
    if ask.tools:
        body["tools"] = [tool_of(tool) for tool in ask.tools]
        body["tool_choice"] = tool_choice(ask.tool_choice)
        if not ask.parallel_calls:
            body["parallel_tool_calls"] = False
    return msgspec.json.encode(body)


def _voice(voice: str, model: Model) -> dict[str, Any]:
    """A voice that the upstream does not have is not asked for: it then takes its own."""
    known = {"voice": voice} if voice in model.voices else {}
    if model.dialect == "openai":
        return {"audio": {**known, "format": "pcm16"}}
    return {"audio": {**known, "format": "wav"}, **known}


class _AssistantTurn:
    """What the assistant said and called in a row, and the results that came right behind."""

    def __init__(self, results: Sequence[Item]) -> None:
        self.said: list[str] = []
        self.calls: list[CallPart] = []
        self.results: dict[str | None, str] = {}
        self._ever = {item.call_id for item in results}

    def end(self) -> Iterator[dict[str, Any]]:
        """Its messages. A call whose result came later stands where that result does."""
        calls = [
            call
            for call in self.calls
            if call.call_id in self.results or call.call_id not in self._ever
        ]
        text = "\n".join(filter(None, self.said))
        if calls:
            yield from called(text, calls, self.results, PENDING)
        elif text:
            yield {"role": "assistant", "content": text}
        self.said, self.calls, self.results = [], [], {}


def _messages(instructions: str, items: Sequence[Item]) -> Iterator[dict[str, Any]]:
    """Instructions first; what the assistant said and called in a row is one message."""
    if instructions:
        yield {"role": "system", "content": instructions}
    calls = {item.call.call_id: item.call for item in items if item.call}
    turn = _AssistantTurn([item for item in items if item.role == "result"])
    for item in items:
        if item.call:
            turn.calls.append(item.call)
        elif item.role == "assistant":
            if turn.calls:
                yield from turn.end()
            turn.said.append(_text(item))
        elif item.role == "result" and any(c.call_id == item.call_id for c in turn.calls):
            turn.results[item.call_id] = _text(item)
        else:
            yield from turn.end()
            if item.role != "result":
                if content := _content(item):
                    yield {"role": item.role, "content": content}
            elif call := calls.get(item.call_id or ""):
                yield from called("", [call], {item.call_id: _text(item)}, PENDING)
            else:
                yield {"role": "user", "content": f"(A function answered: {_text(item)})"}
    yield from turn.end()


def _text(item: Item) -> str:
    return " ".join(part.text for part in item.parts if part.text)


def _content(item: Item) -> str | list[dict[str, Any]]:
    """Plain text where there is nothing else: not every template takes a list."""
    if item.role != "user" or not any(part.pcm or part.image_url for part in item.parts):
        return _text(item)
    return [part for part in map(_part, item.parts) if part]


def _part(part: Part) -> dict[str, Any] | None:
    if part.pcm:
        return input_audio(part.pcm)
    if part.image_url:
        detail = {"detail": part.image_detail} if part.image_detail else {}
        return {"type": "image_url", "image_url": {"url": part.image_url, **detail}}
    return {"type": "text", "text": part.text} if part.text else None
