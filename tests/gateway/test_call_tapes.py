"""Recording of calls: their packets beside their inputs, and only where the owner asks."""

import asyncio
import os
from pathlib import Path

import numpy as np
import pytest

from duologue.audio.packet_tape import read_arrivals
from duologue.core.inputs import AudioReceived
from duologue.runtime.recorder import read_tape
from duologue.testing.packet_replay import replay_packets
from live_server import serving
from peer_client import dial, on_loopback, voice_like


async def conversed(record_dir: Path | None) -> str:
    """A call with one turn; the id of its session."""
    config = on_loopback(record_dir=str(record_dir) if record_dir else None)
    async with serving(config) as base_url, dial(base_url) as caller:
        created = await caller.next("session.created")
        caller.microphone.say(voice_like(0.6))
        async with asyncio.timeout(20):
            await caller.next("response.done")
    return str(created["session"]["id"])


async def test_a_calls_packets_are_recorded_and_sound_as_its_session_heard_them(
    tmp_path: Path,
) -> None:
    session_id = await conversed(tmp_path)
    packets = tmp_path / f"{session_id}.pcap"
    header, entries = read_tape(tmp_path / f"{session_id}.jsonl")
    heard = b"".join(entry.pcm for _, entry in entries if isinstance(entry, AudioReceived))
    again = b"".join(pcm for _, pcm in replay_packets(packets))
    # What was short of a window when the call ended is on the packets' tape alone. Where a
    # busy machine sent nothing for a while, the silence told for it hangs on when one asked.
    loud, loud_again = (np.frombuffer(pcm, "<i2") for pcm in (heard, again))
    loud, loud_again = loud[loud != 0], loud_again[loud_again != 0]
    assert loud.size > 0.5 * 24_000
    assert np.array_equal(loud_again[: loud.size], loud)
    # Both tapes go by one clock.
    arrivals = list(read_arrivals(packets.read_bytes()))
    assert 0 < arrivals[0].at_s - header.now < 5
    assert all(packet.payload_type >= 96 for packet in arrivals)


async def test_nothing_is_recorded_unless_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await conversed(None)
    assert not os.listdir()
