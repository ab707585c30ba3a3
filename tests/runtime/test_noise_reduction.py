"""Noise reduction in a session, over a real socket: what is kept is the cleaned sound."""

import numpy as np
import pytest

from recordings import recording
from runtime.test_formats import PCM, PCMU, Line, coded, line
from session_kit import update

VOICE = recording("06_af_nova.wav").pcm
HISS = np.random.default_rng(3).normal(0, 1000, 48_000).astype(np.int16).tobytes()


def level(pcm: bytes) -> float:
    """Of the second half, when the network knows the noise."""
    return float(np.frombuffer(pcm, np.int16)[len(pcm) // 4 :].astype(float).std())


async def settle(c: Line, noise_reduction: object, **listens: object) -> object:
    """Set noise reduction; returns what the session then shows."""
    await c.send(update(audio={"input": {"noise_reduction": noise_reduction, **listens}}))
    session = (await c.until("session.updated"))["session"]
    return session["audio"]["input"]["noise_reduction"]


@pytest.mark.conformance("C-063")
async def test_what_is_committed_is_cleaned_as_the_session_says() -> None:
    async with line() as c:
        assert await settle(c, None, turn_detection=None) is None
        await c.speak(HISS, 960)
        assert await c.committed() == HISS  # nothing touches it
        near = {"type": "near_field"}
        assert await settle(c, near) == {"type": "near_field", "strength": 1.0}
        await c.speak(HISS, 960)
        by_near = await c.committed()
        assert len(by_near) == len(HISS)
        assert level(by_near) < 0.35 * level(HISS)
        half = {"type": "near_field", "strength": 0.5}
        assert await settle(c, half) == half
        await c.speak(HISS, 960)
        assert 0.5 < level(await c.committed()) / level(HISS) < 0.75
        far = {"type": "far_field"}
        assert await settle(c, far) == {"type": "far_field", "strength": 0.5}
        assert await settle(c, {"type": "far_field", "strength": 0}) is not None
        await c.speak(HISS, 960)
        assert await c.committed() == HISS
        assert await settle(c, None) is None
        assert await settle(c, far) == {"type": "far_field", "strength": 1.0}
        await c.speak(HISS, 960)
        assert 0.4 < level(await c.committed()) / level(HISS) < 0.6


async def test_switching_it_in_the_middle_loses_no_sample() -> None:
    async with line() as c:
        await settle(c, None, turn_detection=None)
        await c.speak(VOICE[:24_000], 960)
        await settle(c, {"type": "near_field"})
        await c.speak(VOICE[24_000:48_001], 960)
        await settle(c, {"type": "far_field"}, format=PCMU)
        await c.speak(coded(VOICE[48_000:72_000], PCMU), 160)
        await settle(c, None, format=PCM)
        await c.speak(VOICE[72_000:96_000], 960)
        heard = await c.committed()
        assert len(heard) == 96_000
        assert heard[:24_000] == VOICE[:24_000]
        assert heard[72_000:] == VOICE[72_000:96_000]
        voice, cleaned = (np.frombuffer(pcm, np.int16).astype(float) for pcm in (VOICE, heard))
        assert np.corrcoef(voice[:24_000], cleaned[:24_000])[0, 1] > 0.95


async def test_the_voice_starts_and_ends_where_it_did() -> None:
    spoken = bytes(48_000) + VOICE + bytes(96_000)
    seen = []
    for wanted in (None, {"type": "near_field"}, {"type": "far_field"}):
        async with line() as c:
            await settle(c, wanted)
            await c.speak(spoken, 960)
            await c.until("response.done")
            started = c.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
            stopped = c.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
            seen.append((started, stopped))
    for times in zip(*seen, strict=True):
        assert max(times) - min(times) <= 32
