"""Whole conversations of a stock aiortc caller through a network that is bad, by real packets.

Real DTLS, SRTP, Opus and SCTP; the relay of `bad_network` is in between. What was said has to be
heard, what was answered has to be played, however the packets came. An engine on another
server makes the sound come differently, so the worst of it is gone through in a chain, too.
"""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from bad_network import Weather, bad_network
from duologue.audio.opus_receiver import OpusReceiver
from duologue.audio.receive_buffer import Counts
from duologue.core.inputs import AudioReceived
from duologue.runtime.recorder import read_tape
from duologue.transports.webrtc.peer import JITTER_BUFFER
from live_server import Serve, chained, serving
from peer_client import PeerCaller, dial, on_loopback, voice_like

WORDS = 8
REPLY = " ".join(f"word{number}" for number in range(WORDS))
WORD_S = 0.24
SCRIPT = (
    f'transcripts = ["One.", "Two.", "Three."]\n[[replies]]\ntext = "{REPLY}"\nword_delay_ms = 20\n'
)

TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "response.created",
    "output_audio_buffer.started",
    "response.done",
    "output_audio_buffer.stopped",
]

FRAME = 480
LOUD = 300


class Ears:
    """What a caller's receiver gets, by our own buffer: aiortc's own stalls after a loss."""

    def __init__(self, caller: PeerCaller) -> None:
        self._receiver = OpusReceiver()
        self._sound = bytearray()
        self.counts: Counts = self._receiver.counts
        (transceiver,) = caller.connection.getTransceivers()
        setattr(transceiver.receiver, JITTER_BUFFER, self)

    def add(self, packet: RtpPacket) -> tuple[bool, None]:
        """In the place of aiortc's jitter buffer."""
        number, timestamp = packet.sequence_number, packet.timestamp
        now = asyncio.get_running_loop().time()
        self._sound += self._receiver.take(number, timestamp, packet.ssrc, packet.payload, now)
        return False, None

    def loudness(self) -> np.ndarray[Any, Any]:
        """Of each 20 ms heard so far."""
        return loudness(bytes(self._sound))


def loudness(pcm: bytes) -> np.ndarray[Any, Any]:
    samples = np.frombuffer(pcm, "<i2").astype(float)
    whole = samples[: len(samples) - len(samples) % FRAME]
    return np.abs(whole).reshape(-1, FRAME).mean(axis=1)


def stretch(loud: np.ndarray[Any, Any]) -> tuple[float, float]:
    """How many seconds there are from the first loud frame to the last, and in the longest hole."""
    (at,) = np.nonzero(loud > LOUD)
    assert at.size, "nothing was heard"
    return (at[-1] - at[0] + 1) * 0.02, float(np.diff(at, append=at[-1] + 1).max() - 1) * 0.02


def heard_by(record_dir: Path) -> bytes:
    """What the session heard of its user."""
    (path,) = record_dir.glob("*.jsonl")
    _, entries = read_tape(path)
    return b"".join(entry.pcm for _, entry in entries if isinstance(entry, AudioReceived))


async def turn(caller: PeerCaller) -> list[dict[str, Any]]:
    """The user says something and is answered; the events of it."""
    before = len(caller.seen)
    caller.microphone.say(voice_like(1.0))
    async with asyncio.timeout(30):
        await caller.next("output_audio_buffer.stopped")
    return caller.seen[before:]


def check_turn(events: list[dict[str, Any]]) -> None:
    """A whole turn, in order, with every word of the reply."""
    assert [event["type"] for event in events if event["type"] in TURN] == TURN
    (done,) = (event["response"] for event in events if event["type"] == "response.done")
    assert done["status"] == "completed"
    assert done["output"][0]["content"][0]["transcript"] == REPLY


WORST = Weather(loss=0.05, delay_s=0.04, jitter_s=0.03, late=0.05, twice=0.1)


@pytest.mark.parametrize(
    ("weather", "serve"),
    [
        pytest.param(Weather(), serving, id="0 %", marks=pytest.mark.slow),
        pytest.param(
            Weather(loss=0.01, delay_s=0.02, jitter_s=0.01),
            serving,
            id="1 %",
            marks=pytest.mark.slow,
        ),
        pytest.param(WORST, serving, id="5 %, out of order, some twice"),
        pytest.param(
            WORST, chained, id="5 %, out of order, some twice, chained", marks=pytest.mark.slow
        ),
        pytest.param(
            Weather(loss=0.02, burst=3, delay_s=0.03),
            serving,
            id="in bursts",
            marks=pytest.mark.slow,
        ),
    ],
)
async def test_a_conversation_is_whole_through_a_bad_network(
    tmp_path: Path,
    weather: Weather,
    serve: Serve,
) -> None:
    config = on_loopback(script=SCRIPT, record_dir=str(tmp_path))
    async with serve(config) as base_url, bad_network(3) as network:
        async with dial(base_url, network=network) as caller:
            ears = Ears(caller)
            await caller.next("session.created")
            network.turn(weather)
            check_turn(await turn(caller))
            await asyncio.sleep(0.2)  # what is under way is told to nobody; it takes 0.1 s at most
        lost = network.lost
    assert bool(lost) == bool(weather.loss)
    # The user was heard from end to end: what was lost is concealed, nothing is cut out.
    said_s, hole_s = stretch(loudness(heard_by(tmp_path)))
    assert said_s == pytest.approx(1.0, abs=0.1) and hole_s <= 0.06
    # And so was the reply.
    played_s, hole_s = stretch(ears.loudness())
    assert played_s == pytest.approx(WORDS * WORD_S, abs=0.1) and hole_s <= 0.06


@pytest.mark.slow
async def test_sound_and_turns_go_on_after_half_a_second_without_network(
    tmp_path: Path, serve: Serve
) -> None:
    config = on_loopback(script=SCRIPT, record_dir=str(tmp_path))
    async with serve(config) as base_url, bad_network(4) as network:
        async with dial(base_url, network=network) as caller:
            ears = Ears(caller)
            await caller.next("session.created")
            caller.microphone.say(voice_like(1.0))
            async with asyncio.timeout(30):
                await caller.next("output_audio_buffer.started")
                network.outage(0.5)
                await caller.next("output_audio_buffer.stopped")
            check_turn(caller.seen[1:])
            assert ears.counts.lost >= 20
            # What was not lost was heard at its place, and the next turn is as good as any.
            played_s, hole_s = stretch(ears.loudness())
            assert played_s == pytest.approx(WORDS * WORD_S, abs=0.1)
            assert 0.3 <= hole_s <= 0.6
            lost = ears.counts.lost
            check_turn(await turn(caller))
            assert ears.counts.lost == lost


@pytest.mark.slow
async def test_garbage_from_the_peers_own_address_changes_nothing(tmp_path: Path) -> None:
    config = on_loopback(script=SCRIPT, record_dir=str(tmp_path))
    async with serving(config) as base_url, bad_network(5) as network:
        async with dial(base_url, network=network) as caller:
            await caller.next("session.created")
            caller.microphone.say(voice_like(1.0))
            for _ in range(20):
                network.litter(70)
                await asyncio.sleep(0.02)  # as often as the user's frames, while they are spoken
            async with asyncio.timeout(30):
                await caller.next("output_audio_buffer.stopped")
            check_turn(caller.seen[1:])
    said_s, hole_s = stretch(loudness(heard_by(tmp_path)))
    assert said_s == pytest.approx(1.0, abs=0.1) and hole_s == 0


@pytest.mark.slow
async def test_a_call_is_made_through_a_network_that_loses_a_tenth() -> None:
    weather = Weather(loss=0.1, delay_s=0.03, jitter_s=0.02, twice=0.1)
    async with serving(on_loopback(script=SCRIPT)) as base_url, bad_network(6) as network:
        network.turn(weather)
        async with dial(base_url, network=network) as caller:
            async with asyncio.timeout(10):
                await caller.next("session.created")
            check_turn(await turn(caller))
        assert network.lost
