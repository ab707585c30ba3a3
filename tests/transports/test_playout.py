"""The way of a reply to the peer: encoded, ticked out frame by frame, counted, let fall."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from duologue.audio import pcm as audio
from duologue.audio.opus import OpusDecoder, samples_in
from duologue.audio.receive_buffer import Sound
from duologue.core.inputs import Played
from duologue.transports.webrtc.opus import FRAME_SAMPLES, SILENCE
from duologue.transports.webrtc.playout import Playout


def tone(ms: int) -> bytes:
    at = np.arange(audio.samples_of_ms(ms)) / audio.RATE_HZ
    return (np.sin(2 * np.pi * 440 * at) * 8000).astype("<i2").tobytes()


@asynccontextmanager
async def playing() -> AsyncIterator[tuple[Playout, list[str]]]:
    """A playout that encodes, and the list of its wake-up calls."""
    playout, woken = Playout(), list[str]()
    playout.attach(lambda: woken.append("woken"))
    async with asyncio.TaskGroup() as tasks:
        encoding = tasks.create_task(playout.encode())
        yield playout, woken
        encoding.cancel()


async def drain(playout: Playout, frames: int) -> list[bytes]:
    """Tick until so many frames of sound have come."""
    packets: list[bytes] = []
    async with asyncio.timeout(10):
        while len(packets) < frames:
            if (packet := playout.tick()) != SILENCE:
                packets.append(packet)
            await asyncio.sleep(0)  # a thread encodes; only the next tick sees what it has made
    return packets


def decoded(packets: list[bytes]) -> np.ndarray:
    sounds = [Sound(packet, samples_in(packet)) for packet in packets]
    return np.frombuffer(OpusDecoder().decode(sounds), "<i2")


async def test_a_piece_is_ticked_out_in_frames_and_counted_sample_by_sample() -> None:
    async with playing() as (playout, woken):
        playout.play("resp_1", "item_1", tone(110))
        packets = await drain(playout, 6)  # the last one is filled up with silence
        assert playout.news() == [Played("item_1", audio.samples_of_ms(110))]
        assert playout.news() == []
        assert playout.tick() == SILENCE
        assert woken
        sound = decoded(packets)
        assert len(sound) == 6 * FRAME_SAMPLES
        assert np.abs(sound[FRAME_SAMPLES : 4 * FRAME_SAMPLES].astype(int)).max() > 6000


async def test_pieces_of_an_item_are_joined_without_a_seam() -> None:
    async with playing() as (playout, _):
        whole = tone(400)
        for piece in audio.chunks(whole, 33 * audio.BYTES_PER_MS):
            playout.play("resp_1", "item_1", piece)
        packets = await drain(playout, 20)
        assert playout.news() == [Played("item_1", audio.samples_of_ms(400))]
        spectrum = np.abs(np.fft.rfft(decoded(packets)[FRAME_SAMPLES * 2 : FRAME_SAMPLES * 18]))
        spectrum[: len(spectrum) // 100] = 0
        share = spectrum.max() ** 2 / (spectrum**2).sum()
        assert share > 0.3  # one line stands out: nothing clicks


async def test_what_is_stopped_does_not_sound_and_what_comes_after_does() -> None:
    async with playing() as (playout, _):
        playout.play("resp_1", "item_1", tone(1000))
        await drain(playout, 10)
        playout.play("resp_2", "item_2", tone(60))
        playout.stop("resp_1")
        await drain(playout, 3)
        assert sorted(playout.news(), key=lambda one: one.item_id) == [
            Played("item_1", 10 * FRAME_SAMPLES),
            Played("item_2", 3 * FRAME_SAMPLES),
        ]
        assert playout.tick() == SILENCE


async def test_two_items_do_not_share_a_frame() -> None:
    async with playing() as (playout, _):
        playout.play("resp_1", "item_1", tone(30))
        playout.play("resp_1", "item_2", tone(30))
        await drain(playout, 4)
        assert {(one.item_id, one.samples) for one in playout.news()} == {
            ("item_1", audio.samples_of_ms(30)),
            ("item_2", audio.samples_of_ms(30)),
        }


async def test_more_than_a_quarter_of_an_hour_does_not_wait() -> None:
    playout = Playout()
    minute = bytes(60_000 * audio.BYTES_PER_MS)
    assert all(playout.play("resp_1", "item_1", minute) for _ in range(15))
    assert not playout.play("resp_1", "item_1", minute)


async def test_silence_is_a_whole_frame_of_it() -> None:
    assert samples_in(SILENCE) == 960
    assert not decoded([SILENCE] * 3).any()
