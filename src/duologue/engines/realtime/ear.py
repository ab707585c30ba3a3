"""The format that an upstream hears in: events with our sound in, the same with its sound out.

Asked for is 24 kHz PCM, which most take. For one whose session shows another rate, or G.711, the
sound is made that on its way there: a stream piece by piece, an item's as a whole. Its length in
milliseconds stays. Until the upstream has told what it hears, sound waits: for `session.created`,
and where that does not show ours for the answer to our `session.update`, which asks for it.
`sent` takes time where it `converts`: it belongs in a worker thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from duologue.audio import g711
from duologue.audio.resampling import Resampler, resample, to_s16
from duologue.engines.realtime.sound import LAWS, OURS, Format, shown
from duologue.errors import EngineFault

Event = dict[str, Any]

STREAM = "input_audio_buffer.append"


class UpstreamEar:
    """That of one upstream session. `told_rate`: each piece of a stream says its own rate."""

    def __init__(self, *, told_rate: bool = False) -> None:
        self._told_rate = told_rate
        self._hears = OURS
        self._was_sent: Format | None = None
        """The format of the sound that it was sent last."""
        self._push: Callable[[bytes], bytes] | None = None
        """What makes the stream its own, once there is one."""
        self.begun = asyncio.Event()
        """Whether the upstream has shown its session."""
        self.is_shown = False
        """Whether a format was in it: then its answer will show one, too."""
        self.known = asyncio.Event()
        """Whether sound need not wait any more."""

    def tell(self, session: Any, *, is_answer: bool) -> None:
        """What the upstream shows of its session; the last word counts.

        `is_answer`: to the settings that it was told.
        """
        hears = shown(session, "input")
        if hears is not None and hears != self._hears:
            self._hears, self._push = hears, None
        self.is_shown = self.is_shown or hears is not None
        self.begun.set()
        if is_answer or hears == OURS:
            self.known.set()

    def check(self) -> None:
        """Raise `EngineFault` where what it hears, or has heard, would be noise."""
        if self._told_rate:
            return
        if not self._hears.is_known:
            raise EngineFault(f"The upstream hears {self._hears}, not 24 kHz PCM.")
        if self._was_sent not in (None, self._hears):
            what = f"was sent {self._was_sent} and says now that it hears {self._hears}"
            raise EngineFault(f"The upstream {what}.")

    def has_sound(self, event: Event) -> bool:
        """Whether an event has sound whose format matters."""
        if event["type"] == STREAM:
            return not self._told_rate
        return any(map(_sounds, _items(event)))

    def converts(self, event: Event) -> bool:
        """Whether an event is sent otherwise than it is."""
        return self._hears != OURS and self._hears.is_known and self.has_sound(event)

    def sent(self, event: Event) -> Event:
        """The event as it is sent."""
        if not self.has_sound(event):
            return event
        is_converted = self.converts(event)
        self._was_sent = self._hears if is_converted else OURS
        if not is_converted:
            return event
        if event["type"] == STREAM:
            return {**event, "audio": self._in_stream(event["audio"])}
        if "item" in event:
            return {**event, "item": self._item(event["item"])}
        response = event["response"]
        return {**event, "response": {**response, "input": [*map(self._item, response["input"])]}}

    def _in_stream(self, pcm: bytes) -> bytes:
        if self._push is None:
            law = LAWS.get(self._hears.kind)
            self._push = g711.Encoder(law).push if law else _stream_to(self._hears.rate_hz)
        return self._push(pcm)

    def _item(self, item: Event) -> Event:
        content = [
            {**part, "audio": self._whole(part["audio"])} if _is_sound(part) else part
            for part in item.get("content", ())
        ]
        return {**item, "content": content} if _sounds(item) else item

    def _whole(self, pcm: bytes) -> bytes:
        law = LAWS.get(self._hears.kind)
        if law:
            return g711.encode(pcm, law)
        return to_s16(resample(_samples(pcm), OURS.rate_hz, self._hears.rate_hz)).tobytes()


def _stream_to(rate_hz: int) -> Callable[[bytes], bytes]:
    stream = Resampler(OURS.rate_hz, rate_hz)
    return lambda pcm: to_s16(stream.push(_samples(pcm))).tobytes()


def _samples(pcm: bytes) -> Any:
    return np.frombuffer(pcm, np.int16).astype(np.float32)


def _items(event: Event) -> Sequence[Event]:
    """The items that an event gives the upstream."""
    if "item" in event:
        return [event["item"]]
    items: Sequence[Event] = event.get("response", {}).get("input", ())
    return items


def _sounds(item: Event) -> bool:
    return any(map(_is_sound, item.get("content", ())))


def _is_sound(part: Event) -> bool:
    return bool(part["type"] == "input_audio")
