"""Sound to the peer: what waits to be played, and how much of each item has been.

    runner ─ play ─► raw ─► encoder thread ─► ready ─ tick, every 20 ms ─► RTP
                                                        └─► news ─► runner

Sound is encoded as it comes and leaves one frame per tick. What a tick took has been played:
that count is the truth about an interruption. `stop` lets everything of a response fall
wherever it stands.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import msgspec

from duologue.audio import pcm as audio
from duologue.core.inputs import Played
from duologue.transports.webrtc.opus import FRAME_BYTES, SILENCE, Encoder

LIMIT_SAMPLES = 900 * audio.RATE_HZ
"""Sound that may wait to be played: a quarter of an hour."""

AHEAD_FRAMES = 50
"""With a second of sound ready no more is encoded: it may never be heard."""

BATCH_BYTES = 1000 * audio.BYTES_PER_MS
"""Sound that is encoded in one go."""

LOW_FRAMES = 2
"""With so few frames ready the rest of a piece, short of a frame, is filled up and sent."""


class _Piece(msgspec.Struct):
    response_id: str
    item_id: str
    pcm: bytes


class _Frame(msgspec.Struct):
    response_id: str
    item_id: str
    samples: int
    packet: bytes


class Playout:
    """One peer's voice. The runner plays and stops, a pacer ticks, `encode` runs beside them."""

    def __init__(self) -> None:
        self._encoder = Encoder()
        self._raw: deque[_Piece] = deque()
        self._rest: _Piece | None = None
        """Of the last piece, what is short of a frame."""
        self._ready: deque[_Frame] = deque()
        self._in_hand: _Piece | None = None
        """What is being encoded; None also when it was stopped meanwhile."""
        self._waiting_samples = 0
        self._work = asyncio.Event()
        self._counts: dict[str, int] = {}
        self._fresh: set[str] = set()
        self._wake: Callable[[], None] = lambda: None

    def attach(self, wake: Callable[[], None]) -> None:
        """`wake` is called when a reply begins to be played, and when all has been."""
        self._wake = wake

    def play(self, response_id: str, item_id: str, pcm: bytes) -> bool:
        """Have sound played after what waits; False when too much does."""
        self._waiting_samples += audio.samples(pcm)
        if self._waiting_samples > LIMIT_SAMPLES:
            return False
        self._raw.append(_Piece(response_id, item_id, pcm))
        self._work.set()
        return True

    def stop(self, response_id: str) -> None:
        """Play no more of a response."""
        self._raw = deque(one for one in self._raw if one.response_id != response_id)
        self._ready = deque(one for one in self._ready if one.response_id != response_id)
        if self._rest is not None and self._rest.response_id == response_id:
            self._rest = None
        if self._in_hand is not None and self._in_hand.response_id == response_id:
            self._in_hand = None
        self._waiting_samples = sum(audio.samples(one.pcm) for one in self._raw)
        self._waiting_samples += sum(one.samples for one in self._ready)

    def news(self) -> list[Played]:
        """What was played since this was last asked, as totals of items."""
        fresh, self._fresh = self._fresh, set()
        return [Played(item_id, self._counts[item_id]) for item_id in fresh]

    def tick(self) -> bytes:
        """The packet of the next 20 ms, which counts as played; silence when nothing waits."""
        if not self._ready:
            return SILENCE
        frame = self._ready.popleft()
        self._waiting_samples -= frame.samples
        begins = frame.item_id not in self._counts
        self._counts[frame.item_id] = self._counts.get(frame.item_id, 0) + frame.samples
        self._fresh.add(frame.item_id)
        is_low = len(self._ready) <= LOW_FRAMES and self._rest is not None
        if is_low or (self._raw and len(self._ready) < AHEAD_FRAMES):
            self._work.set()
        if begins or not self._ready:
            self._wake()
        return frame.packet

    async def encode(self) -> None:
        """Encode what comes, for ever; in threads, since a second of sound takes milliseconds."""
        while True:
            await self._work.wait()
            self._work.clear()
            while (piece := self._next()) is not None:
                samples = audio.samples(piece.pcm)
                short = -len(piece.pcm) % FRAME_BYTES
                self._in_hand = piece
                packets = await asyncio.to_thread(self._encoder.encode, piece.pcm + bytes(short))
                was_stopped, self._in_hand = self._in_hand is not piece, None
                if was_stopped:
                    continue
                for packet in packets:
                    count = min(samples, FRAME_BYTES // audio.SAMPLE_BYTES)
                    samples -= count
                    frame = _Frame(piece.response_id, piece.item_id, count, packet)
                    self._ready.append(frame)

    def _next(self) -> _Piece | None:
        """What to encode next: whole frames of an item, or its last one, which is filled up."""
        rest = self._rest
        if len(self._ready) >= AHEAD_FRAMES:
            return None
        if not self._raw:
            if rest is None or len(self._ready) > LOW_FRAMES:
                return None
            self._rest = None
            return rest
        piece = self._raw[0]
        if rest is not None and rest.item_id != piece.item_id:
            self._rest = None
            return rest
        self._raw.popleft()
        if len(piece.pcm) > BATCH_BYTES:
            left = _Piece(piece.response_id, piece.item_id, piece.pcm[BATCH_BYTES:])
            self._raw.appendleft(left)
        pcm = (rest.pcm if rest else b"") + piece.pcm[:BATCH_BYTES]
        whole = len(pcm) - len(pcm) % FRAME_BYTES
        is_odd = whole < len(pcm)
        self._rest = _Piece(piece.response_id, piece.item_id, pcm[whole:]) if is_odd else None
        if not whole:
            return self._next()
        return _Piece(piece.response_id, piece.item_id, pcm[:whole])
