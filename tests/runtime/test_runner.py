"""The shell around a session: backpressure, a clean end, tapes that replay."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import msgspec
import pytest

from duologue.core import inputs
from duologue.core.outputs import Spent
from duologue.core.rate_limits import RateLimiter
from duologue.core.settings import SessionConfig
from duologue.core.talk import (
    Ask,
    Item,
    ReplyEvent,
    Say,
    Transcript,
    TranscriptionAsk,
    TranscriptPart,
)
from duologue.engines.scripted import (
    LoudnessActivity,
    LoudnessTurnEnd,
    Script,
    ScriptedCall,
    ScriptedEngine,
    ScriptedReply,
    ScriptedTalk,
    ScriptedTranscriber,
    tone,
)
from duologue.errors import EngineFault
from duologue.events import (
    ClientEvent,
    ConversationItemDone,
    ConversationItemInputAudioTranscriptionCompleted,
    Error,
    InputAudioBufferSpeechStopped,
    RateLimitsUpdated,
    ResponseCreated,
    ResponseDone,
    ResponseOutputItemAdded,
    ResponseOutputTextDelta,
    ResumeOffer,
    SessionCreated,
)
from duologue.events import ConversationItemInputAudioTranscriptionFailed as TranscriptionFailed
from duologue.runtime.recorder import read_tape
from duologue.runtime.runner import Runner
from duologue.testing.replay import replay, replay_outputs
from duologue.testing.timeline import wire_name
from runner_kit import Call, call
from session_kit import add, create, update, user

SILENCE = bytes(960 * 50)  # one second


async def test_a_spoken_turn_is_answered() -> None:
    async with call(Script(transcripts=("Good day.",))) as c:
        await c.send(update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
        await c.speak(SILENCE + tone(600) + SILENCE)
        done = await c.until(ResponseDone)
        assert isinstance(done, ResponseDone)
        assert done.response.output[0].content[0].transcript == "You said: Good day."  # type: ignore[union-attr]
        kinds = [wire_name(event) for event in c.events]
        assert kinds.count("input_audio_buffer.speech_started") == 1
        if ConversationItemInputAudioTranscriptionCompleted not in map(type, c.events):
            await c.until(ConversationItemInputAudioTranscriptionCompleted)


@pytest.mark.parametrize("frame", [160, 481, 960, 4800, 100_000])
async def test_how_sound_is_framed_changes_no_event(frame: int) -> None:
    async with call() as c:
        await c.speak(SILENCE + tone(600) + SILENCE, frame)
        await c.until(ResponseDone)
        shapes = [
            (wire_name(event), getattr(event, "audio_start_ms", getattr(event, "audio_end_ms", 0)))
            for event in c.events
        ]
        assert ("input_audio_buffer.speech_started", 692) in shapes
        assert ("input_audio_buffer.speech_stopped", 2272) in shapes


async def test_a_commit_takes_sound_short_of_a_window() -> None:
    async with call() as c:
        await c.send(update(audio={"input": {"turn_detection": None}}))
        await c.speak(tone(110))
        await c.send({"type": "input_audio_buffer.commit"})
        await c.send(create())
        await c.until(ResponseDone)
        assert c.events[-1].response.status == "completed"  # type: ignore[union-attr]
        assert not any(isinstance(event, Error) for event in c.events)


async def test_a_client_that_does_not_read_loses_its_session_not_the_server_its_memory() -> None:
    script = Script(replies=(ScriptedReply(text="word " * 2000),))
    async with call(script, outbox_bytes=1_000_000) as c:
        await c.until(SessionCreated)
        await c.send(create())
        await asyncio.wait_for(c.runner.ended(), 10)
        assert c.runner.close_code == 1008 and "too_slow" in c.runner.close_reason
        assert await c.runner.next_event() is None


async def test_what_a_client_changes_without_reading_what_it_is_told_is_bounded() -> None:
    async with call(outbox_bytes=1_000_000) as c:
        await c.until(SessionCreated)
        for number in range(40):
            await c.send(update(instructions=str(number) * 100_000))
        await asyncio.wait_for(c.runner.ended(), 10)
        assert c.runner.close_code == 1008 and "too_slow" in c.runner.close_reason


async def test_errors_that_nobody_reads_hold_little_of_what_was_wrong() -> None:
    async with call(outbox_bytes=1_000_000) as c:
        await c.until(SessionCreated)
        for _ in range(40):
            await c.send({"type": "conversation.item.retrieve", "item_id": "x" * 100_000})
        for _ in range(40):
            error = await c.until(Error)
            assert len(error.error.message) < 3000  # type: ignore[union-attr]


async def test_a_vanished_client_frees_the_engine_in_mid_reply() -> None:
    script = Script(replies=(ScriptedReply(text="a b", word_delay_ms=3_600_000),))
    async with call(script) as c:
        await c.send(create())
        await c.until(SessionCreated)
        assert c.engine.open_talks == 1
        c.runner.disconnect()
        await asyncio.wait_for(c.runner.ended(), 10)
        assert c.engine.open_talks == 0


async def test_an_engine_that_breaks_fails_one_response_and_not_the_session() -> None:
    script = Script(
        replies=(
            ScriptedReply(text="Well", when="break", fail="out of tea"),
            ScriptedReply("Fine."),
        )
    )
    async with call(script) as c:
        await c.send(add(user("break")))
        await c.send(create())
        failed = await c.until(ResponseDone)
        assert failed.response.status_details.error.message == "out of tea"  # type: ignore[union-attr]
        await c.send(add(user("again")))
        await c.send(create())
        fine = await c.until(ResponseDone)
        assert fine.response.status == "completed"  # type: ignore[union-attr]


async def test_what_an_engine_says_is_text_before_it_is_kept(tmp_path: Path) -> None:
    """JSON of another server may hold half a surrogate pair, which nothing here can encode."""
    half = "oh \ud83d"
    script = Script(
        replies=(
            ScriptedReply(text=half, when="break", fail=half),
            ScriptedReply(when="call", calls=(ScriptedCall("f", half),)),
            ScriptedReply("Fine."),
        ),
    )
    tape = tmp_path / "half.tape"
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    async with call(script, tape=tape) as c:
        await c.send(update(tools=[tool]))
        done = []
        for said in ("break", "call", "again"):
            await c.send(add(user(said)))
            await c.send(create())
            done.append((await c.until(ResponseDone)).response)  # type: ignore[union-attr]
    assert [response.status for response in done] == ["failed", "completed", "completed"]
    assert done[0].status_details.error.message == "oh \ufffd"
    assert done[0].output[0].content[0].transcript.strip() == "oh \ufffd"
    assert "\ufffd" in done[1].output[0].arguments
    for event in c.events:
        msgspec.json.encode(event)
    assert list(replay(tape))[: len(c.events)] == c.events


def breaking(
    fault: type[BaseException], script: Script | None = None, limiter: RateLimiter | None = None
) -> Runner:
    """A session whose engine breaks on a note."""

    class Broken(ScriptedTalk):
        def put(self, item: Item, after: str | None = None) -> None:
            raise fault

    engine = ScriptedEngine(script or Script())
    return Runner(
        SessionConfig(id="sess_broken", model="scripted"),
        Broken(engine),
        ScriptedTranscriber(engine),
        LoudnessActivity().open(),
        LoudnessTurnEnd(),
        limiter=limiter,
    )


@pytest.mark.parametrize("fault", [ValueError, StopIteration, asyncio.CancelledError])
async def test_an_engine_that_breaks_on_a_note_ends_its_session_whatever_it_raises(
    fault: type[BaseException],
) -> None:
    runner = breaking(fault)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        for _ in range(2):
            await runner.receive(msgspec.convert(add(user("Hi.")), ClientEvent))
        await runner.ended()
    assert runner.close_code == 1011


async def test_what_an_engine_breaks_in_is_told_as_a_fault_of_ours_and_the_session_lives() -> None:
    class Broken(ScriptedTalk):
        async def reply(self, ask: Ask) -> AsyncIterator[ReplyEvent]:
            yield Say("Half a", bytes(960), 6)
            raise ZeroDivisionError("in the engine's own words")

    class BrokenTranscriber(ScriptedTranscriber):
        async def transcribe(
            self, media_id: str, pcm: bytes, ask: TranscriptionAsk
        ) -> AsyncIterator[TranscriptPart | Transcript]:
            yield TranscriptPart("Half a")
            raise ZeroDivisionError("in the transcriber's own words")

    engine = ScriptedEngine(Script())
    config = SessionConfig(id="sess_broken", model="scripted")
    activity, turn_end = LoudnessActivity().open(), LoudnessTurnEnd()
    runner = Runner(config, Broken(engine), BrokenTranscriber(engine), activity, turn_end)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        c = Call(runner, engine)
        await c.send(update(audio={"input": {"transcription": {"model": "whisper-1"}}}))
        for turn in (1, 2):  # the session lives
            await c.speak(SILENCE + tone(600) + SILENCE)
            for kind in (ResponseDone, TranscriptionFailed):
                while sum(isinstance(event, kind) for event in c.events) < turn:
                    await c.until(object)
        runner.disconnect()
    done = next(event for event in c.events if isinstance(event, ResponseDone)).response
    told = next(event for event in c.events if isinstance(event, TranscriptionFailed)).error
    assert done.status == "failed" and done.status_details and done.status_details.error
    assert done.status_details.error.code == told.code == "internal_error"
    assert "own words" not in f"{done.status_details.error.message} {told.message}"


async def test_shutdown_ends_the_session_with_its_code() -> None:
    async with call() as c:
        await c.until(SessionCreated)
        c.runner.end(1001, "going away")
        await asyncio.wait_for(c.runner.ended(), 10)
        assert (c.runner.close_code, c.runner.close_reason) == (1001, "going away")


async def test_a_tape_replays_to_the_same_events(tmp_path: Path) -> None:
    tape = tmp_path / "call.tape"
    tool = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    script = Script(
        replies=(ScriptedReply(when="call", calls=(ScriptedCall("f"),)), ScriptedReply("Yes."))
    )
    async with call(script, tape=tape) as c:
        await c.send(update(tools=[tool]))
        await c.send(add(user("call it")))
        await c.send(create())
        await c.until(ResponseDone)
        await c.speak(SILENCE + tone(600) + SILENCE)
        await c.until(ResponseDone)
        c.runner.disconnect()
        await asyncio.wait_for(c.runner.ended(), 10)
        sent = c.events
    assert list(replay(tape))[: len(sent)] == sent


async def test_a_model_that_owns_the_floor_is_metered_and_its_tape_replays(tmp_path: Path) -> None:
    tape = tmp_path / "live.tape"
    limiter = RateLimiter(requests_per_minute=2)
    script = Script(replies=(ScriptedReply("Yes it is."),), duplex=True, word_ms=80)
    async with call(script, tape=tape, limiter=limiter) as c:
        for left in (1, 0):
            await c.speak(SILENCE + tone(600) + SILENCE)
            await c.until(ResponseDone)
            updated = await c.until(RateLimitsUpdated)
            (limit,) = updated.rate_limits  # type: ignore[union-attr]
            assert limit.remaining == left
        await c.speak(tone(600) + SILENCE)
        done = await c.until(ResponseDone)
        error = done.response.status_details.error  # type: ignore[union-attr]
        assert error.code == "rate_limit_exceeded"
        c.runner.disconnect()
        await asyncio.wait_for(c.runner.ended(), 10)
        assert c.engine.open_talks == 0
        sent = c.events
    assert list(replay(tape))[: len(sent)] == sent


async def test_sessions_of_one_key_share_its_limits_and_their_tapes_replay(tmp_path: Path) -> None:
    limiter = RateLimiter(requests_per_minute=2)
    tapes = [tmp_path / "one.tape", tmp_path / "two.tape"]
    async with call(limiter=limiter, tape=tapes[0]) as one:
        async with call(limiter=limiter, tape=tapes[1]) as two:
            for c, left in ((one, 1), (two, 0)):
                await c.send(create())
                await c.until(ResponseDone)
                updated = await c.until(RateLimitsUpdated)
                (limit,) = updated.rate_limits  # type: ignore[union-attr]
                assert (limit.name, limit.limit, limit.remaining) == ("requests", 2, left)
            await one.send(create())
            refused = await one.until(Error)
            assert refused.error.code == "rate_limit_exceeded"  # type: ignore[union-attr]
            for c in (one, two):
                c.runner.disconnect()
                await asyncio.wait_for(c.runner.ended(), 10)
    for c, tape in zip((one, two), tapes, strict=True):
        assert list(replay(tape))[: len(c.events)] == c.events


async def test_a_session_that_ends_gives_back_what_it_had_reserved() -> None:
    limiter = RateLimiter(tokens_per_minute=5000)
    script = Script(replies=(ScriptedReply(text="a b", word_delay_ms=3_600_000),))
    async with call(script, limiter=limiter) as c:
        await c.send(create(max_output_tokens=4000))
        await c.until(ResponseCreated)
        now = asyncio.get_running_loop().time()
        assert limiter.shown(now)[0].remaining <= 1001
        c.runner.disconnect()
        await asyncio.wait_for(c.runner.ended(), 10)
        assert limiter.shown(asyncio.get_running_loop().time())[0].remaining == 5000


def hang_up(runner: Runner) -> None:
    runner.disconnect()


def shut_down(runner: Runner) -> None:
    runner.end(1001, "The server goes down.")


def dismiss(runner: Runner) -> None:
    runner.dismiss(inputs.Dismissed("invalid_api_key", "This key was revoked.", 3000))


@pytest.mark.parametrize("leave", [hang_up, shut_down, dismiss])
async def test_a_session_that_ends_in_mid_response_pays_for_what_that_has_used(
    leave: Callable[[Runner], None], tmp_path: Path
) -> None:
    limiter = RateLimiter(tokens_per_minute=5000)
    script = Script(replies=(ScriptedReply(text="a b", word_delay_ms=3_600_000),))
    tape = tmp_path / "cut.tape"
    async with call(script, limiter=limiter, tape=tape) as c:
        await c.send(update(instructions="word " * 3000, output_modalities=["text"]))
        await c.send(create())
        await c.until(ResponseOutputTextDelta)
        leave(c.runner)
        await asyncio.wait_for(c.runner.ended(), 10)
        left = limiter.shown(asyncio.get_running_loop().time())[0].remaining
    assert 1900 <= left < 2010
    assert [used.tokens for used in replay_outputs(tape) if isinstance(used, Spent)] == [3001]


async def test_a_client_that_does_not_read_pays_for_what_it_did_not_wait_for() -> None:
    limiter = RateLimiter(tokens_per_minute=5000)
    script = Script(replies=(ScriptedReply(text="word " * 2000),))
    async with call(script, limiter=limiter, outbox_bytes=1_000_000) as c:
        await c.until(SessionCreated)
        await c.send(update(instructions="word " * 3000))
        await c.send(create())
        await asyncio.wait_for(c.runner.ended(), 10)
        assert c.runner.close_code == 1008
        assert limiter.shown(asyncio.get_running_loop().time())[0].remaining < 2000


async def test_a_session_that_an_engine_breaks_pays_for_what_was_used() -> None:
    limiter = RateLimiter(tokens_per_minute=5000)
    script = Script(replies=(ScriptedReply("a b", word_delay_ms=3_600_000),))
    runner = breaking(ValueError, script, limiter)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(runner.run())
        asked = create(instructions="word " * 3000, max_output_tokens=500)
        await runner.receive(msgspec.convert(asked, ClientEvent))
        while not isinstance(await runner.next_event(), ResponseOutputItemAdded):
            pass
        await runner.receive(msgspec.convert(add(user("Hi.")), ClientEvent))
        await runner.ended()
    assert runner.close_code == 1011
    assert 1900 <= limiter.shown(asyncio.get_running_loop().time())[0].remaining < 2010


async def test_a_dismissal_does_not_wait_in_line() -> None:
    async with call() as c:
        await c.until(SessionCreated)
        await c.send(add(user("one")))
        c.runner.dismiss(inputs.Dismissed("invalid_api_key", "This key was revoked.", 3000))
        error = await c.until(Error)
        assert error.error.code == "invalid_api_key"  # type: ignore[union-attr]
        assert await c.runner.next_event() is None
        await asyncio.wait_for(c.runner.ended(), 10)
        assert c.runner.close_code == 3000


async def test_bad_frames_are_answered_in_their_place_in_line() -> None:
    async with call() as c:
        await c.send(add(user("one")))
        await c.runner.receive(inputs.BadEvent("invalid_json", "no JSON"))
        await c.send(create())
        await c.until(ResponseDone)
        kinds = [wire_name(event) for event in c.events]
        assert kinds[1:5] == [
            "conversation.item.added",
            "conversation.item.done",
            "error",
            "response.created",
        ]


SEMANTIC = {"input": {"turn_detection": {"type": "semantic_vad"}}}


async def test_a_turn_that_is_judged_complete_ends_long_before_the_longest_silence() -> None:
    async with call() as c:
        await c.send(update(audio=SEMANTIC))
        await c.speak(SILENCE + tone(1200) + SILENCE)
        stopped = await c.until(InputAudioBufferSpeechStopped)
        assert isinstance(stopped, InputAudioBufferSpeechStopped)
        assert 2200 <= stopped.audio_end_ms <= 3200
        await c.until(ResponseDone)


class BrokenTurnEnd(LoudnessTurnEnd):
    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def score(self, pcm: bytes) -> float:
        self.asked.set()
        raise EngineFault("no weights today")


async def test_a_turn_that_nobody_can_judge_ends_by_the_longest_silence(
    caplog: pytest.LogCaptureFixture,
) -> None:
    broken = BrokenTurnEnd()
    async with call(turn_end=broken) as c:
        await c.send(update(audio=SEMANTIC))
        await c.speak(SILENCE + tone(1200) + SILENCE)
        await broken.asked.wait()
        await c.speak(SILENCE * 4)
        stopped = await c.until(InputAudioBufferSpeechStopped)
        assert isinstance(stopped, InputAudioBufferSpeechStopped)
        assert 6200 <= stopped.audio_end_ms <= 6200 + 64
        await c.until(ResponseDone)
    assert "no weights today" in caplog.text


async def test_a_lost_line_is_told_the_session_behind_what_still_waits(tmp_path: Path) -> None:
    tape = tmp_path / "a.tape"
    offer = ResumeOffer(token="t", grace_s=60.0)
    async with call(tape=tape, offer=offer) as c:
        line = c.runner.attach()
        await line.receive(msgspec.convert(add(user("Good day.")), ClientEvent))
        line.lost(clean=False)  # in the same step of the loop
        await c.runner.resume(offer, None)
        await c.until(ConversationItemDone)
    took = [type(entry) for _, entry in read_tape(tape)[1]]
    assert took[:3] == [inputs.Received, inputs.Lost, inputs.Resumed]
