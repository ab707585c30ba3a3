"""Voice activity on real recordings, and one thread for all sessions."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from duologue.core.turn_detection import TurnDetection
from duologue.core.user_turn import SHORT_SPEECH_PATIENCE_MS
from duologue.errors import EngineFault, ModelFault
from duologue.hearing.silero import QUIET_WINDOWS, SileroActivity
from recordings import recording, recordings, windows
from weights import weights

pytestmark = pytest.mark.weights


@pytest.fixture
async def activity() -> AsyncIterator[SileroActivity]:
    made = SileroActivity(weights("silero-vad"))
    yield made
    await made.aclose()


async def test_no_recording_is_cut_at_a_pause_by_the_server_s_own_policy(
    activity: SileroActivity,
) -> None:
    for r in recordings():
        turn = TurnDetection(
            threshold=0.5,
            prefix_padding_ms=300,
            silence_duration_ms=400,
            short_speech_patience_ms=SHORT_SPEECH_PATIENCE_MS,
        )
        frames = windows(r.pcm + bytes(48_000))
        decisions = [
            (turn.hear(speech, n * 32, n * 32 + 32), n * 32 + 32)
            for n, speech in enumerate(await activity.open().score(frames))
        ]
        stops = [at for decision, at in decisions if decision == "stopped"]
        assert len(stops) == 1, f"{r.file} was cut at {stops}"
        assert stops[0] > r.end_ms - 600, r.file


async def test_a_batch_gives_each_stream_what_it_would_get_alone(
    activity: SileroActivity,
) -> None:
    sounds = [windows(r.pcm)[:40] for r in recordings()[:6]]
    alone = [await activity.open().score(sound) for sound in sounds]
    together = await asyncio.gather(*(activity.open().score(sound) for sound in sounds))
    for one, other in zip(alone, together, strict=True):
        assert np.allclose(one, other, atol=1e-3)


async def test_window_by_window_is_the_same_as_all_at_once(activity: SileroActivity) -> None:
    sound = windows(recording("06_af_nova.wav").pcm)
    stream = activity.open()
    singly = [(await stream.score([window]))[0] for window in sound]
    assert np.allclose(singly, await activity.open().score(sound), atol=1e-4)


async def test_a_quiet_line_is_silence(activity: SileroActivity) -> None:
    sound = windows(recording("06_af_nova.wav").pcm) + [bytes(1536)] * 20
    scores = await activity.open().score(sound)
    assert scores[-20 + QUIET_WINDOWS :] == [0.0] * (20 - QUIET_WINDOWS)


async def test_a_window_that_cannot_be_scored_fails_its_call_and_no_later_one(
    activity: SileroActivity,
) -> None:
    loud = b"\xff\x20" * 700
    with pytest.raises(EngineFault):
        await activity.open().score([loud])
    assert len(await activity.open().score([b"\xff\x20" * 768])) == 1


async def test_after_the_end_a_call_is_refused(activity: SileroActivity) -> None:
    stream = activity.open()
    await activity.aclose()
    with pytest.raises(EngineFault, match="shut down"):
        await stream.score([b"\xff\x20" * 768])


def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "silero.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ModelFault, match=re.escape(str(path))):
        SileroActivity(path)
