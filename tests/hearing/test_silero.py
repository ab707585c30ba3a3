"""Voice activity on real recordings, in one process for all sessions that is never left behind."""

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from duologue.core.turn_detection import TurnDetection
from duologue.core.user_turn import SHORT_SPEECH_PATIENCE_MS
from duologue.errors import EngineFault, ModelFault
from duologue.hearing.silero import QUIET_WINDOWS, SileroActivity
from recordings import recording, recordings, windows
from weights import weights

pytestmark = pytest.mark.weights

LOUD = b"\xff\x20" * 768
QUIET = bytes(1536)

SERVER = """
import asyncio, sys
from pathlib import Path
from duologue.hearing.silero import SileroActivity

async def main():
    activity = await SileroActivity.load(Path(sys.argv[1]))
    await activity.open().score([b"\\xff\\x20" * 768])
    print(activity.process_id, flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


def process_of(activity: SileroActivity) -> psutil.Process:
    assert activity.process_id is not None
    return psutil.Process(activity.process_id)


@contextlib.asynccontextmanager
async def _elsewhere() -> AsyncIterator[tuple[asyncio.subprocess.Process, psutil.Process]]:
    """Another process that has voice activity, and the one that scores for it."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVER, str(weights("silero-vad"))), stdout=subprocess.PIPE
    )
    assert server.stdout is not None
    try:
        yield server, psutil.Process(int(await server.stdout.readline()))
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.kill()
        await server.wait()


@contextlib.asynccontextmanager
async def loaded(**patience: float) -> AsyncIterator[SileroActivity]:
    made = await SileroActivity.load(weights("silero-vad"), **patience)
    try:
        yield made
    finally:
        await made.aclose()


@pytest.fixture
async def activity() -> AsyncIterator[SileroActivity]:
    async with loaded() as made:
        yield made


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
    stream = activity.open()
    await stream.score(windows(recording("06_af_nova.wav").pcm))
    await stream.score([QUIET] * QUIET_WINDOWS)
    silence = stream.score([QUIET] * 20)
    assert silence.done() and silence.result() == [0.0] * 20
    (speech,) = await stream.score([LOUD])
    assert speech > 0.0


async def test_a_window_that_cannot_be_scored_fails_its_call_and_no_later_one(
    activity: SileroActivity,
) -> None:
    loud = b"\xff\x20" * 700
    with pytest.raises(EngineFault):
        await activity.open().score([loud])
    assert len(await activity.open().score([LOUD])) == 1


async def test_after_the_end_a_call_is_refused(activity: SileroActivity) -> None:
    stream = activity.open()
    await activity.aclose()
    with pytest.raises(EngineFault, match="shut down"):
        await stream.score([LOUD])


async def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "silero.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(ModelFault, match=re.escape(str(path))):
        await SileroActivity.load(path)


async def test_a_process_that_dies_is_replaced_and_nothing_asked_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with loaded(steady_s=0.0) as activity:
        sound = windows(recording("06_af_nova.wav").pcm)
        before = await activity.open().score(sound)
        first = process_of(activity)
        first.suspend()  # so that it cannot answer before it is dead
        asked = asyncio.ensure_future(activity.open().score(sound))
        await asyncio.sleep(0)
        first.kill()
        assert np.allclose(await asked, before, atol=1e-3)
        assert process_of(activity).pid != first.pid
        assert "the voice-activity process ended (Killed)" in caplog.text


async def test_a_process_that_dies_soon_fails_what_waits_by_name_and_is_tried_again_later() -> None:
    async with loaded(steady_s=0.5) as activity:
        first = process_of(activity)
        first.suspend()
        asked = asyncio.ensure_future(activity.open().score([LOUD]))
        quiet = asyncio.ensure_future(activity.open().score([QUIET]))
        await asyncio.sleep(0)
        first.kill()
        with pytest.raises(EngineFault, match="the voice-activity process ended"):
            await asked
        assert await quiet == [0.0]
        with pytest.raises(EngineFault, match="the voice-activity process ended"):
            await activity.open().score([LOUD])
        assert await activity.open().score([QUIET] * 2) == [0.0, 0.0]
        async with asyncio.timeout(30):
            await activity.replaced()
        assert len(await activity.open().score([LOUD])) == 1


async def test_a_process_that_does_not_answer_is_ended_and_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with loaded(steady_s=0.0, stuck_s=0.2) as activity:
        process_of(activity).suspend()
        assert len(await activity.open().score([LOUD])) == 1
        assert "has not answered" in caplog.text


async def test_a_stream_whose_caller_gave_up_gets_no_answer_that_was_not_its_own(
    activity: SileroActivity,
) -> None:
    sound = windows(recording("06_af_nova.wav").pcm)
    stream = activity.open()
    asked = asyncio.ensure_future(stream.score([LOUD] * 8))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    assert np.allclose(await stream.score(sound), await activity.open().score(sound), atol=1e-3)


async def test_a_stream_that_is_closed_while_it_waits_is_let_go(activity: SileroActivity) -> None:
    stream = activity.open()
    asked = asyncio.ensure_future(stream.score([LOUD]))
    await asyncio.sleep(0)
    stream.close()
    assert await asked == [0.0]
    assert await stream.score([LOUD]) == [0.0]


async def test_scores_are_told_before_they_are_awaited_and_a_listener_that_breaks_harms_none(
    activity: SileroActivity, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[list[float]] = []

    def breaks(scores: asyncio.Future[list[float]]) -> None:
        told.append(scores.result())
        raise ValueError("broken")

    broken = activity.open().score([LOUD], breaks)
    whole = activity.open().score([LOUD], lambda scores: told.append(scores.result()))
    assert told == []
    assert [await broken, await whole] == told
    assert "a session broke over its voice-activity scores" in caplog.text


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 10, 100])
async def test_an_end_in_the_midst_of_a_replacement_leaves_no_process(turns: int) -> None:
    before = set(psutil.Process().children())
    async with loaded(steady_s=0.0) as activity:
        first = process_of(activity)
        first.kill()
        await asyncio.to_thread(first.wait, 20)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await activity.aclose()
        assert set(psutil.Process().children()) <= before


async def test_the_process_ends_with_the_last_of_its_server(activity: SileroActivity) -> None:
    process = process_of(activity)
    await activity.aclose()
    assert not process.is_running()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_a_server_that_is_killed_leaves_no_process_behind(number: signal.Signals) -> None:
    async with _elsewhere() as (server, process):
        server.send_signal(number)
        await server.wait()
        await asyncio.to_thread(process.wait, 20)  # a `TimeoutExpired` if it is left


async def test_a_signal_to_the_process_alone_does_not_end_it(activity: SileroActivity) -> None:
    process = process_of(activity)
    for number in (signal.SIGINT, signal.SIGTERM):
        process.send_signal(number)
    assert len(await activity.open().score([LOUD])) == 1
    assert process_of(activity) == process


async def test_the_process_knows_no_setting_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DUOLOGUE_API_KEY", "a secret")
    activity = await SileroActivity.load(weights("silero-vad"))
    assert not [name for name in process_of(activity).environ() if name.startswith("DUOLOGUE_")]
    await activity.aclose()
