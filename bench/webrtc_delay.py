"""What calls add to a network's delay, when it loses packets, and how soon they fall silent.

    python bench/webrtc_delay.py --rounds 20

A server with the scripted engine in a process of its own, one aiortc caller here, and between them
the relay of the tests, with 20 ms of delay each way and 0, 1 and 5 % loss. The caller talks
into every reply, then clicks; both ends note times by the system's one clock. One JSON line for
each loss, everything without the relay's own delay:

    mouth_to_core_ms      from the end of a window of sound at the microphone to the core
    core_to_ear_ms        from the core's first sound of a reply to the far end's decoder
    onset_to_silence_ms   from the first voiced sample into a reply to the end of its last sound

each as p50 and p95. In the first two is the making of frames of 20 ms, which are complete before
they are sent, and what Opus looks ahead (6.5 ms). `back_s`: how long after 500 ms without network
the delay to the core was last 20 ms above its median, to 0.3 s. Quiet machine only: where either
process is held up, that is in the figures.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiortc.rtp import RtpPacket

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from bad_network import BadNetwork, Weather, bad_network  # noqa: E402
from duologue.audio.opus_receiver import OpusReceiver  # noqa: E402
from duologue.core.inputs import AudioReceived  # noqa: E402
from duologue.gateway.server import new_event_loop  # noqa: E402
from duologue.runtime.recorder import read_tape  # noqa: E402
from duologue.transports.webrtc.peer import JITTER_BUFFER  # noqa: E402
from peer_client import Microphone, PeerCaller, dial, on_loopback, voice_like  # noqa: E402

PORT = 8873
SCRIPT = 'replies = [{{text = "{words}", word_delay_ms = 50}}]'
WAY_S = 0.020
RATE_HZ = 24_000
FRAME_S = 0.020
LOUD = 300
OUTAGE_S = 0.5
NEAR_S = 0.020
"""So close to the median the delay is itself again."""

CLICK_S, CLICKS_S = 0.060, 0.300
"""How long a click is, and how long from one to the next; a delay is told only up to that."""


async def serve(directory: Path) -> None:
    """A duologue that tapes its session and when the core first had something played."""
    from duologue.gateway.server import serving
    from duologue.transports.webrtc.playout import Playout

    loop = asyncio.get_running_loop()
    played: dict[str, float] = {}
    stock = Playout.play

    def play(self: Playout, response_id: str, item_id: str, pcm: bytes) -> bool:
        played.setdefault(response_id, loop.time())
        return stock(self, response_id, item_id, pcm)

    Playout.play = play  # type: ignore[method-assign]
    script = SCRIPT.format(words="word " * 100)
    try:
        async with serving(on_loopback(port=PORT, script=script, record_dir=str(directory))):
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.read)
    finally:
        (directory / "played.json").write_text(json.dumps(list(played.values())))


class Mouth(Microphone):
    """Notes when each thing it says began to be said."""

    def __init__(self) -> None:
        super().__init__()
        self.onsets_s: list[float] = []
        self._was_silent = True

    async def recv(self) -> av.AudioFrame:
        frame = await super().recv()
        is_silent = not frame.to_ndarray().any()
        if self._was_silent and not is_silent:
            assert self._start_s is not None
            # A frame is sent when it has been spoken to its end.
            self.onsets_s.append(self._start_s + (self._frames - 2) * FRAME_S)
        self._was_silent = is_silent
        return frame


class Ear:
    """The far end: when sound could be heard there, and whether there was any in it."""

    def __init__(self, caller: PeerCaller) -> None:
        self.heard: list[tuple[float, bool]] = []
        self._receiver = OpusReceiver()
        (transceiver,) = caller.connection.getTransceivers()
        setattr(transceiver.receiver, JITTER_BUFFER, self)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """In the place of aiortc's jitter buffer."""
        now = asyncio.get_running_loop().time()
        number, timestamp = packet.sequence_number, packet.timestamp
        pcm = self._receiver.take(number, timestamp, packet.ssrc, packet.payload, now)
        if pcm:
            self.heard.append((now, float(np.abs(np.frombuffer(pcm, "<i2")).mean()) > LOUD))
        return False, None

    def begins_s(self, after_s: float) -> float:
        """When something was heard first after a time."""
        return next(at for at, is_loud in self.heard if is_loud and at > after_s)

    def silent_s(self, after_s: float) -> float:
        """When the last of it had been heard, before a silence of five frames."""
        quiet, last_s = 0, after_s
        for at, is_loud in self.heard:
            if at <= after_s:
                continue
            if is_loud:
                quiet, last_s = 0, at
            elif (quiet := quiet + 1) == 5:
                return last_s + FRAME_S
        raise ValueError("it was never silent")


async def converse(rounds: int, weather: Weather, directory: Path) -> dict[str, Any]:
    """A call of so many interruptions."""
    from duologue.transports.webrtc import peer  # noqa: F401 - before anything is timed

    url = f"http://127.0.0.1:{PORT}/v1"
    async with bad_network(11) as network:
        with process(directory):
            async with dial(url, network=network, microphone=(mouth := Mouth())) as caller:
                ear = Ear(caller)
                await caller.next("session.created")
                network.turn(weather)
                await asyncio.sleep(1)
                barged_s = await interrupt(rounds, caller, ear, mouth)
                clicks_s = asyncio.get_running_loop().time()
                await click(mouth, 10)
                outage_end_s = await go_out(network, mouth)
        played_s = json.loads((directory / "played.json").read_text())
    delays = mouth_to_core(directory, mouth.onsets_s)
    steady = [(at, late) for at, late in delays if at < outage_end_s - OUTAGE_S]
    usual = statistics.median(late for _, late in steady)
    off = [at for at, late in delays if at > outage_end_s and late > usual + NEAR_S]
    before_s = [at for at in played_s if at < clicks_s]
    return {
        "loss": weather.loss,
        "mouth_to_core_ms": shown(late - WAY_S for _, late in steady),
        "core_to_ear_ms": shown(ear.begins_s(at) - at - WAY_S for at in before_s),
        "onset_to_silence_ms": shown(ear.silent_s(at) - at - 2 * WAY_S for at in barged_s),
        "back_s": round(max(off) - outage_end_s, 3) if off else 0.0,
        "lost": network.lost,
    }


async def interrupt(rounds: int, caller: PeerCaller, ear: Ear, mouth: Mouth) -> list[float]:
    """Talk into a reply again and again; when each time began."""
    mouth.say(voice_like(0.5))
    for number in range(rounds):
        async with asyncio.timeout(20):
            await caller.next("output_audio_buffer.started")
            await asyncio.sleep(0.7 + number % 7 * 0.013)
            mouth.say(voice_like(0.5))
            await caller.next("output_audio_buffer.cleared")
    async with asyncio.timeout(20):
        await caller.next("output_audio_buffer.started")
    await asyncio.sleep(0.5)
    return mouth.onsets_s[1:]


async def click(mouth: Mouth, seconds: float) -> None:
    """Click away."""
    for _ in range(round(seconds / CLICKS_S)):
        mouth.say(voice_like(CLICK_S))
        await asyncio.sleep(CLICKS_S)


async def go_out(network: BadNetwork, mouth: Mouth) -> float:
    """Half a second without network and four with it; when it came back."""
    network.turn(Weather(delay_s=WAY_S))
    await click(mouth, 2)
    network.outage(OUTAGE_S)
    await click(mouth, OUTAGE_S)
    back_s = asyncio.get_running_loop().time()
    await click(mouth, 4)
    return back_s


def mouth_to_core(directory: Path, onsets_s: list[float]) -> list[tuple[float, float]]:
    """When what began with each onset reached the core, and how long after it had been said."""
    (path,) = directory.glob("*.jsonl")
    windows = [(at, one.pcm) for at, one in read_tape(path)[1] if isinstance(one, AudioReceived)]
    heard: list[tuple[float, float]] = []
    quiet_s = 1.0
    for at, pcm in windows:
        loud = np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 1500
        first, last = int(np.argmax(loud)), loud.size - int(np.argmax(loud[::-1]))
        if not loud.any():
            quiet_s += loud.size / RATE_HZ
            continue
        if quiet_s + first / RATE_HZ > 0.1:
            heard.append((at, (loud.size - first) / RATE_HZ))
        quiet_s = (loud.size - last) / RATE_HZ
    late = ((at, at - length - onset) for onset in onsets_s for at, length in heard)
    return [(at, delay) for at, delay in late if 0 < delay < CLICKS_S - CLICK_S]


def shown(seconds: Iterable[float]) -> dict[str, float]:
    """Median and 95th percentile in milliseconds."""
    cuts = statistics.quantiles(seconds, n=20, method="inclusive")
    return {"p50": round(cuts[9] * 1000, 1), "p95": round(cuts[18] * 1000, 1)}


class process:
    """The server, for as long as the block lasts."""

    def __init__(self, directory: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout and self._process.stdout.readline() == "ready\n"

    def __enter__(self) -> None:
        return None

    def __exit__(self, *fault: object) -> None:
        self._process.communicate("")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--loss", type=float, nargs="*", default=[0.0, 0.01, 0.05])
    parser.add_argument("--serve", type=Path)
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        if given.serve:
            runner.run(serve(given.serve))
            return
        for loss in given.loss:
            with tempfile.TemporaryDirectory() as directory:
                weather = Weather(loss=loss, delay_s=WAY_S)
                print(json.dumps(runner.run(converse(given.rounds, weather, Path(directory)))))


if __name__ == "__main__":
    main()
