"""The engine `realtime` in front of a full-duplex upstream: the stand-in for vLLM-Omni."""

import asyncio
import base64
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import pytest
from msgspec import structs

from duologue.audio import pcm as audio
from duologue.core.talk import (
    Ask,
    Began,
    Call,
    CallPart,
    Done,
    Failed,
    Floor,
    Item,
    LiveEvent,
    Part,
    Refused,
    Say,
    Tool,
    TranscriptionAsk,
)
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.live import RealtimeLiveTalk
from duologue.engines.realtime.traits import common_traits
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.engines.scripted import tone
from duologue.errors import EngineFault
from duologue.testing.duplex_answer import Answer
from duologue.testing.duplex_session import Session
from duologue.testing.duplex_stand_in import PERSONAPLEX, DuplexStandIn
from engines.realtime.upstream_kit import KEY, LOOK, SPEAK, Peer, fault_of, said, standing_in

SILENCE = bytes(24_000)
Events = AsyncGenerator[LiveEvent, None]


@asynccontextmanager
async def talking(
    address: str, ask: Ask = SPEAK, **options: Any
) -> AsyncIterator[tuple[RealtimeLiveTalk, Events]]:
    traits = structs.replace(OPEN_TRAITS, duplex=True, rewinds=False)
    engine = RealtimeEngine([Upstream(address, KEY)], traits, **options)
    talk = cast(RealtimeLiveTalk, await engine.open(ask))
    try:
        async with asyncio.timeout(15), aclosing(cast(Events, talk.live(ask))) as events:
            yield talk, events
    finally:
        await engine.aclose()


async def until(events: Events, kind: type | str) -> list[LiveEvent]:
    """The events up to one of a class, or a floor event of a kind."""
    seen: list[LiveEvent] = []
    async for event in events:
        seen.append(event)
        if event.kind == kind if isinstance(event, Floor) else type(event) is kind:
            return seen
    raise AssertionError(f"no {kind} among {seen}")


def words(events: list[LiveEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Say))


def answer(text: str, name: str = "answer") -> Item:
    return Item(name, "assistant", (Part(text),))


def spoken(name: str, sound: bytes) -> Item:
    """A turn, or a part of one, that the model was given as it was spoken."""
    return Item(name, "user", (Part(pcm=sound, media_id=name),), was_heard=True)


async def written(transcripts: Transcripts, name: str, sound: bytes) -> str:
    """What the upstream wrote down of an item."""
    ask = TranscriptionAsk("whisper-1")
    (transcript,) = [one async for one in transcripts.transcribe(name, sound, ask)]
    return getattr(transcript, "text", "")


async def begun(stand_in: DuplexStandIn, updates: int = 2) -> Session:
    """The next session, once it has been negotiated: the turns count from then on."""
    session = await stand_in.sessions.get()
    await session.until("session.update", updates)
    return session


async def test_it_takes_the_turns_and_answers() -> None:
    stand_in = DuplexStandIn()
    transcripts = Transcripts()
    async with stand_in.serving() as address:
        ask = structs.replace(SPEAK, transcription=TranscriptionAsk("whisper-1", language="en"))
        async with talking(address, ask, transcripts=transcripts) as (talk, events):
            session = await begun(stand_in, updates=3)
            talk.hear(SILENCE + tone(400) + SILENCE)
            starts, stops = await until(events, "user_stops")
            assert isinstance(starts, Floor) and abs(starts.at_ms - 500) <= 40
            assert isinstance(stops, Floor) and abs(stops.at_ms - 900) <= 40
            talk.put(spoken("turn", tone(400)))
            seen = await until(events, Done)
            assert words(seen) == "It is sunny today"
            talk.put(answer("It is sunny today"))
            assert await written(transcripts, "turn", tone(400)) == "what is the weather"
            assert not session.all_seen("conversation.item.create"), "it has heard and said both"
            first, heard, second = session.all_seen("session.update")
            asked = heard["session"]["audio"]["input"]["transcription"]
            assert asked == {"model": "whisper-1", "language": "en"}
            assert "turn_detection" not in first["session"]["audio"]["input"]
            assert second["session"]["turn_detection"] == {"type": "server_vad"}
            assert second["session"]["playback_commit_policy"] == "ack_only"


async def test_it_yields_and_is_truncated_to_what_was_heard() -> None:
    stand_in = DuplexStandIn(Answer(words=" ".join(["sunny"] * 80)))
    async with stand_in.serving() as address, talking(address) as (talk, events):
        session = await begun(stand_in)
        talk.hear(tone(400) + SILENCE)
        await until(events, Say)
        talk.played("answer", 2400 * 2)
        talk.hear(tone(100))
        assert isinstance((await until(events, "yields"))[-1], Floor)
        talk.put(answer("sunny"))
        talk.nudge(Ask())
        await session.until("response.create")
        (ack,) = session.all_seen("playback.ack")
        assert (ack["played_ms"], ack["item_id"]) == (200, f"item_{ack['response_id']}")
        (cut,) = session.all_seen("conversation.item.truncate")
        assert cut["item_id"] == ack["item_id"] and cut["audio_end_ms"] <= 800


async def test_a_model_that_cannot_be_interrupted_is_not_asked_to() -> None:
    stand_in = DuplexStandIn(capabilities=PERSONAPLEX)
    async with stand_in.serving() as address, talking(address) as (talk, events):
        session = await begun(stand_in)
        talk.cut("answer", 100, "It")
        talk.nudge(Ask())
        await session.until("response.create")
        assert "turn_detection" not in session.all_seen("session.update")[1]["session"]
        assert not session.all_seen("conversation.item.truncate")


async def test_a_session_that_ends_fails_and_the_next_has_the_history(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stand_in = DuplexStandIn()
    async with stand_in.serving() as address, talking(address) as (talk, events):
        session = await begun(stand_in)
        talk.put(said("Good day"))
        talk.put(answer("Hello"))
        talk.hear(SILENCE)
        reading = asyncio.ensure_future(anext(events))
        await session.drop()
        with pytest.raises(EngineFault, match="closed the session"):
            await reading
        talk.hear(SILENCE)  # lost, and it counts
        async with aclosing(cast(Events, talk.live(SPEAK))) as again:
            listening = asyncio.ensure_future(until(again, "user_stops"))
            session = await begun(stand_in)
            talk.hear(tone(400) + SILENCE)
            starts, _ = await listening
            assert isinstance(starts, Floor) and abs(starts.at_ms - 1000) <= 40
        put = session.all_seen("conversation.item.create")
        assert [event["item"]["role"] for event in put] == ["user", "assistant"]
        assert "was not given an item" in caplog.text


async def test_a_nudge_without_a_session_reaches_the_next_one() -> None:
    stand_in = DuplexStandIn()
    async with stand_in.serving() as address, talking(address) as (talk, events):
        session = await begun(stand_in)
        reading = asyncio.ensure_future(anext(events))
        await session.drop()
        with pytest.raises(EngineFault, match="closed the session"):
            await reading
        talk.nudge(Ask())
        async with aclosing(cast(Events, talk.live(SPEAK))) as again:
            reading = asyncio.ensure_future(anext(again))
            session = await begun(stand_in)
            await session.until("response.create")
            reading.cancel()
            await asyncio.wait([reading])


async def test_a_session_that_hangs_in_a_reply_is_left_for_a_new_one() -> None:
    met: list[Peer] = []

    async def hang(peer: Peer) -> None:
        met.append(peer)
        await peer.next("session.update")
        await peer.send("response.created", response={"id": f"r{len(met)}"})
        await peer.socket.wait_closed()

    async with standing_in(hang) as address, talking(address, silence_s=0.1) as (talk, events):
        assert isinstance((await anext(events)), Floor)
        with pytest.raises(EngineFault, match=r"nothing for 0\.1 seconds"):
            await until(events, Done)
        async with aclosing(cast(Events, talk.live(SPEAK))) as again:
            assert isinstance((await anext(again)), Floor)
        assert len(met) == 2


async def test_a_turn_that_the_client_has_withdrawn_leaves_the_next_its_name() -> None:
    stand_in = DuplexStandIn()
    async with stand_in.serving() as address, talking(address) as (talk, events):
        session = await begun(stand_in)
        talk.hear(SILENCE + tone(400) + SILENCE)
        await until(events, "user_stops")  # never put
        await until(events, Done)
        talk.hear(tone(800) + SILENCE)
        await until(events, "user_stops")
        talk.put(spoken("turn", bytes(audio.BYTES_PER_MS * 300) + tone(800)))
        talk.drop("turn")
        (deleted,) = await session.until("conversation.item.delete")
        assert deleted["item_id"] == "item_3", "item_1 was the first turn, resp_2 its reply"
        assert not session.all_seen("conversation.item.create")


async def test_parts_of_a_turn_are_not_given_to_the_model_again() -> None:
    stand_in = DuplexStandIn()
    transcripts = Transcripts()
    async with stand_in.serving() as address:
        async with talking(address, transcripts=transcripts) as (talk, events):
            session = await begun(stand_in)
            talk.hear(tone(400))
            await until(events, "user_starts")
            talk.put(spoken("first", tone(400)))  # the client has committed
            talk.hear(tone(300) + SILENCE)
            await until(events, "user_stops")
            talk.put(spoken("rest", tone(300)))
            assert await written(transcripts, "first", tone(400)) == "what is the weather"
            assert await written(transcripts, "rest", tone(300)) == "", "told with the first"
            talk.put(spoken("between", tone(100)))  # a commit outside of any turn
            talk.put(Item("file", "user", (Part(pcm=tone(200)),)))
            await until(events, Done)
            talk.hear(tone(400) + SILENCE)
            await until(events, "user_stops")
            talk.put(spoken("next", tone(400)))
            talk.drop("first")
            talk.drop("next")
            first, last = await session.until("conversation.item.delete", 2)
            assert (first["item_id"], last["item_id"]) == ("item_1", "item_3")
            (created,) = session.all_seen("conversation.item.create")
            assert created["item"]["id"] == "file", "the only one that the model has not heard"


async def test_of_replies_that_begin_alike_the_last_is_the_one_that_is_cut_off() -> None:
    async def answer_alike(peer: Peer) -> None:
        await peer.next("session.update")
        for name in ("1", "2"):
            ids = {"response_id": f"r{name}", "item_id": f"m{name}"}
            await peer.send("response.created", response={"id": f"r{name}"})
            await peer.send("response.output_audio_transcript.delta", **ids, delta="I think so")
            if name == "1":
                done = {"id": "r1", "status": "completed"}
                await peer.send("response.done", response=done)
        cancels.append(await peer.next("response.cancel"))

    cancels: list[dict[str, Any]] = []
    async with standing_in(answer_alike) as address, talking(address) as (talk, events):
        await until(events, Done)  # silenced before a word: the core puts nothing
        await until(events, Say)
        talk.put(answer("I"))
        with pytest.raises(EngineFault):
            await until(events, Done)
        assert [cancel["response_id"] for cancel in cancels] == ["r2"]


async def test_what_an_interrupted_reply_has_read_is_told() -> None:
    async def be_interrupted(peer: Peer) -> None:
        await peer.next("session.update")
        ids = {"response_id": "r1", "item_id": "m1"}
        await peer.send("response.created", response={"id": "r1"})
        await peer.send("response.output_audio_transcript.delta", **ids, delta="I think")
        usage = {"input_tokens": 500, "output_tokens": 2, "total_tokens": 502}
        usage |= {"input_token_details": {"text_tokens": 100, "audio_tokens": 400}}
        done = {"id": "r1", "status": "cancelled", "usage": usage}
        await peer.send("response.done", response=done)

    async with standing_in(be_interrupted) as address, talking(address) as (_, events):
        starts, estimate, said_first, read, yields = await until(events, "yields")
        assert isinstance(starts, Floor) and isinstance(said_first, Say)
        assert isinstance(estimate, Began) and estimate.input["text"] > 0
        assert isinstance(read, Began) and read.input == {"text": 100, "audio": 400}


IDS = {"response_id": "r1", "item_id": "m1"}
OVERLOADED = {"type": "server_error", "code": "overloaded", "message": f"No room, {KEY}."}


async def fail_the_response(peer: Peer) -> None:
    usage = {"input_tokens": 50, "output_tokens": 2, "total_tokens": 52}
    details = {"type": "failed", "error": OVERLOADED}
    failed = {"id": "r1", "status": "failed", "status_details": details, "usage": usage}
    await peer.send("response.done", response=failed)


async def send_an_error_of_it(peer: Peer) -> None:
    await peer.send("error", response_id="r1", error=OVERLOADED)


async def send_nonsense(peer: Peer) -> None:
    await peer.send("response.output_audio.delta", **IDS, delta="?")


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        (fail_the_response, Failed("overloaded", "The upstream failed: No room, ….")),
        (send_an_error_of_it, Failed("overloaded", "The upstream failed: No room, ….")),
        (send_nonsense, Failed("engine_error", "The upstream sent sound that is no base64.")),
    ],
)
async def test_a_response_that_fails_there_fails_here_and_the_next_is_heard(
    fail: Callable[[Peer], Awaitable[None]], expected: Failed
) -> None:
    met: list[Peer] = []

    async def fail_once(peer: Peer) -> None:
        met.append(peer)
        await peer.next("session.update")
        await peer.send("response.created", response={"id": "r1"})
        await peer.send("response.output_audio_transcript.delta", **IDS, delta="I")
        await fail(peer)
        await peer.send("response.output_audio_transcript.delta", **IDS, delta=" think")
        done = {"id": "r1", "status": "cancelled"}
        await peer.send("response.done", response=done)
        await peer.send("response.created", response={"id": "r2"})
        await peer.send("response.done", response={"id": "r2", "status": "completed"})
        await peer.next("response.create")

    async with standing_in(fail_once) as address, talking(address) as (talk, events):
        *before, failed = await until(events, Failed)
        assert failed == expected and words(before) == "I"
        after = await until(events, Done)
        assert isinstance(after[0], Floor) and words(after) == ""
        assert after[0].kind == "reply_starts"
        talk.nudge(Ask())
        assert len(met) == 1, "the session goes on"
        if fail is fail_the_response:
            assert [event.input for event in before if isinstance(event, Began)][-1] == {"text": 50}


async def call_and_tell_usage(peer: Peer) -> None:
    await peer.next("session.update")
    await peer.send("response.created", response={"id": "r1"})
    call = {"id": "c1", "type": "function_call", "name": "look", "call_id": "k1"}
    await peer.send("response.output_item.added", response_id="r1", item=call)
    done = {**call, "arguments": "{}", "status": "completed"}
    await peer.send("response.output_item.done", response_id="r1", item=done)
    usage = {"input_tokens": 50, "output_tokens": 9, "total_tokens": 59}
    await peer.send("response.done", response={"id": "r1", "status": "completed", "usage": usage})
    await peer.next("response.create")


async def test_the_usage_of_a_call_comes_before_its_end_from_another_duologue() -> None:
    async with standing_in(call_and_tell_usage) as address:
        async with talking(address, LOOK, aligned=True) as (talk, events):
            *_, named, argued, read, call, done = await until(events, Done)
            assert isinstance(read, Began) and read.input == {"text": 50}
            assert isinstance(named, Call) and isinstance(argued, Call) and isinstance(call, Call)
            assert call.final and argued.tokens + call.tokens == 9
            assert done == Done()
            talk.nudge(Ask())


async def test_a_call_of_any_other_model_waits_for_nothing() -> None:
    async def call_and_wait(peer: Peer) -> None:
        await peer.next("session.update")
        await peer.send("response.created", response={"id": "r1"})
        call = {"id": "c1", "type": "function_call", "name": "look", "arguments": "{}"}
        await peer.send("response.output_item.done", response_id="r1", item=call)
        result = await peer.next("conversation.item.create")
        await peer.send("response.output_text.delta", **IDS, delta=result["item"]["output"])
        await peer.send("response.done", response={"id": "r1", "status": "completed"})
        await peer.next("response.create")

    async with standing_in(call_and_wait) as address, talking(address, LOOK) as (talk, events):
        calls: list[LiveEvent] = []
        while not (calls and isinstance(calls[-1], Call) and calls[-1].final):
            calls += await until(events, Call)
        talk.put(Item("result", "result", (Part("blue"),), call_id="call_1"))
        assert words(await until(events, Done)) == "blue"
        talk.nudge(Ask())


async def test_a_call_that_more_is_said_behind_is_told_before_that() -> None:
    async def talk_on(peer: Peer) -> None:
        await peer.next("session.update")
        await peer.send("response.created", response={"id": "r1"})
        call = {"id": "c1", "type": "function_call", "name": "look", "arguments": "{}"}
        await peer.send("response.output_item.done", response_id="r1", item=call)
        await peer.send("response.output_text.delta", **IDS, delta="Wait.")
        await peer.send("response.done", response={"id": "r1", "status": "completed"})
        await peer.next("response.create")

    async with standing_in(talk_on) as address:
        async with talking(address, LOOK, aligned=True) as (talk, events):
            *_, call, wait = await until(events, Say)
            assert isinstance(call, Call) and call.final and words([wait]) == "Wait."
            talk.nudge(Ask())


async def test_a_hint_that_is_beyond_the_upstream_s_limits_is_told_and_one_not_wanted_is_not() -> (
    None
):
    async def refuse(peer: Peer) -> None:
        for kind in ("invalid_request_error", "rate_limit_error"):
            asked = await peer.next("response.create")
            error = {"type": kind, "code": "no", "message": kind}
            await peer.send("error", error={**error, "event_id": asked["event_id"]})
        await peer.next("response.create")

    async with standing_in(refuse) as address, talking(address) as (talk, events):
        talk.nudge(Ask())
        talk.nudge(Ask())
        (failed,) = await until(events, Failed)
        assert failed == Failed("no", "The upstream refuses: rate_limit_error")
        talk.nudge(Ask())


@pytest.mark.parametrize("echoes", [True, False], ids=["echoes", "says-no-event"])
async def test_settings_that_are_refused_are_told_again_without_what_is_named(
    echoes: bool,
) -> None:
    told: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def refuse(peer: Peer) -> None:
        while True:
            update = await peer.next("session.update")
            told.put_nowait(update["session"])
            if "tools" in update["session"]:
                error = {"code": "no", "message": f"No {KEY} here.", "param": "session.tools"}
                name = {"event_id": update["event_id"]} if echoes else {}
                await peer.send("error", error={**error, **name})

    async with standing_in(refuse) as address:
        async with talking(address, LOOK, aligned=True) as (talk, events):
            (first,) = await until(events, Refused)
            assert isinstance(first, Refused) and first.code == "no"
            assert first.message.startswith("The upstream refuses the settings and is told them ")
            assert "again without tools: No " in first.message and KEY not in first.message
            whole, fewer = await told.get(), await told.get()
            assert whole.keys() - fewer.keys() == {"tools", "tool_choice"}
            assert fewer["instructions"] == "Be brief." and fewer["audio"] == whole["audio"]
            talk.configure(structs.replace(LOOK, instructions="Be long."))
            assert await until(events, Refused) == [first], "who asks again is told again"
            assert [(await told.get())["instructions"] for _ in range(2)] == ["Be long."] * 2
            talk.configure(SPEAK)
            assert [("tools" in await told.get()) for _ in range(2)] == [True, False]
            talk.configure(LOOK)
            assert await until(events, Refused) == [first], "of what it lacks nothing is missed"


async def test_settings_that_were_refused_before_anybody_listened_are_told_once() -> None:
    refused = asyncio.Event()

    async def refuse(peer: Peer) -> None:
        update = await peer.next("session.update")
        error = {"message": "These tools are not for me.", "event_id": update["event_id"]}
        await peer.send("error", error=error)
        await peer.next("session.update")
        refused.set()
        if not any(event["type"] == "response.create" for event in peer.seen):
            await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})

    traits = structs.replace(OPEN_TRAITS, duplex=True, rewinds=False)
    async with standing_in(refuse) as address, asyncio.timeout(15):
        engine = RealtimeEngine([Upstream(address, KEY)], traits, aligned=True)
        talk = cast(RealtimeLiveTalk, await engine.open(LOOK))
        await refused.wait()
        for count in (1, 0):  # the session after it refuses them, too
            async with aclosing(cast(Events, talk.live(LOOK))) as events:
                talk.nudge(LOOK)
                seen = await until(events, "reply_starts")
                assert sum(isinstance(event, Refused) for event in seen) == count
                with pytest.raises(EngineFault):
                    await until(events, Done)
        await engine.aclose()


async def test_a_model_that_begins_with_its_instructions_alone() -> None:
    def refuses(update: dict[str, Any]) -> str | None:
        is_known = update["session"].keys() <= {"type", "instructions"}
        is_asked = update["event_id"].startswith("configure")
        return "unsupported_field" if is_asked and not is_known else None

    stand_in = DuplexStandIn(refuses=refuses)
    async with stand_in.serving() as address, talking(address, LOOK) as (talk, events):
        session = await begun(stand_in, updates=3)
        _, least, _ = session.all_seen("session.update")
        assert least["session"] == {"type": "realtime", "instructions": "Be brief."}
        talk.hear(tone(400) + SILENCE)
        seen = await until(events, Done)
    (refused,) = (event for event in seen if isinstance(event, Refused))
    assert refused.message.endswith("is told them again without tools: unsupported_field")
    assert words(seen) == "It is sunny today"


async def test_a_reply_that_nobody_wants_is_cancelled_there_once() -> None:
    cancels: list[dict[str, Any]] = []

    async def be_cancelled(peer: Peer) -> None:
        await peer.next("session.update")
        await peer.send("response.created", response={"id": "r1"})
        cancels.append(await peer.next("response.cancel"))
        await peer.send("response.output_audio_transcript.delta", **IDS, delta="I think")
        await peer.send("response.done", response={"id": "r1", "status": "cancelled"})
        cancels.extend([await peer.next("response.cancel") for _ in range(2)])

    async with standing_in(be_cancelled) as address, talking(address) as (talk, events):
        await until(events, "reply_starts")
        talk.hush()
        await until(events, Say)
        talk.put(answer("I"))  # what was heard before
        await until(events, "yields")
        talk.nudge(Ask())
        talk.hush()  # the hint
        with pytest.raises(EngineFault):
            talk.hush()
            await until(events, Done)
        assert [cancel.get("response_id") for cancel in cancels] == ["r1", None, None]


async def test_a_hint_that_is_withdrawn_without_a_session_is_forgotten() -> None:
    stand_in = DuplexStandIn()
    async with stand_in.serving() as address, talking(address) as (talk, events):
        session = await begun(stand_in)
        reading = asyncio.ensure_future(anext(events))
        await session.drop()
        with pytest.raises(EngineFault, match="closed the session"):
            await reading
        talk.nudge(Ask())
        talk.hush()
        async with aclosing(cast(Events, talk.live(SPEAK))) as again:
            reading = asyncio.ensure_future(until(again, Done))
            session = await begun(stand_in)
            talk.hear(tone(400) + SILENCE)
            await reading
            assert not session.all_seen("response.create")
            assert not session.all_seen("response.cancel")


async def test_a_reply_that_began_when_nobody_listened_is_told_with_its_beginning() -> None:
    listened = asyncio.Event()

    async def begin_early(peer: Peer) -> None:
        await peer.next("session.update")
        await peer.send("response.created", response={"id": "r1"})
        await peer.send("session.created", session={})
        await listened.wait()
        ids = {"response_id": "r1", "item_id": "m1"}
        await peer.send("response.output_audio_transcript.delta", **ids, delta="Hi")
        await peer.send("response.done", response={"id": "r1", "status": "completed"})

    async with standing_in(begin_early, greets=False) as address:
        async with talking(address) as (talk, events):
            assert await talk.begun(5) is None
            reading = asyncio.ensure_future(until(events, Done))
            await asyncio.sleep(0)
            listened.set()
            starts, *rest = await reading
            assert isinstance(starts, Floor) and starts.kind == "reply_starts"
            assert words(rest) == "Hi"


async def test_nothing_is_answered_beside_it() -> None:
    stand_in = DuplexStandIn()
    async with stand_in.serving() as address, talking(address) as (talk, _):
        fault = await fault_of(talk.reply(Ask(keep=False, context=())))
        assert "nothing beside it" in fault.message


async def test_the_address_says_that_it_is_duplex() -> None:
    plain, duplex = (
        Upstream("ws://127.0.0.1:9/v1/realtime"),
        "ws://127.0.0.1:9/v1/realtime?duplex=1",
    )
    common = await common_traits([Upstream(duplex)])
    assert (common.traits.duplex, common.traits.rewinds, common.aligned) == (True, False, False)
    assert not (await common_traits([plain])).traits.duplex
    assert (await common_traits([plain, Upstream(duplex)])).traits.duplex, "one is away"


async def test_of_sound_that_the_upstream_does_not_take_two_minutes_wait() -> None:
    heard: list[int] = []

    async def count(peer: Peer) -> None:
        await peer.next("session.update")
        while True:
            before = len(peer.seen)
            await peer.next("response.create")
            new = peer.seen[before:]
            heard.append(sum(len(base64.b64decode(e["audio"])) for e in new if "audio" in e))
            await peer.send("response.created", response={"id": f"r{len(heard)}"})
            await peer.send("response.done", response={"id": f"r{len(heard)}"})

    second = 1000 * audio.BYTES_PER_MS
    serving = standing_in(count, max_size=None)
    async with serving as address, talking(address, aligned=True) as (talk, events):
        for pieces, size in ((600, second), (1, 300 * second), (9, second)):
            for _ in range(pieces):  # at one go: nothing is sent meanwhile
                talk.hear(bytes(size))
            talk.nudge(Ask())
            await until(events, Done)
    assert heard == [120 * second, 300 * second, 9 * second]


async def test_what_a_hint_or_the_settings_before_offer_may_be_called() -> None:
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.next("response.create")
        await go.wait()
        for number, name in enumerate(("look", "listen", "rm_rf")):
            made = {"id": f"item_{number}", "type": "function_call", "name": name}
            await peer.send("response.created", response={"id": f"resp_{number}"})
            await peer.send("response.output_item.added", response_id=f"resp_{number}", item=made)
            await peer.send(
                "response.output_item.done",
                response_id=f"resp_{number}",
                item={**made, "status": "completed", "arguments": "{}"},
            )
            done = {"id": f"resp_{number}", "status": "completed"}
            await peer.send("response.done", response=done)
        await peer.socket.wait_closed()

    session = structs.replace(SPEAK, tools=(Tool("listen"),))
    async with (
        standing_in(behave) as address,
        talking(address, session, aligned=True) as (talk, events),
    ):
        talk.nudge(structs.replace(LOOK, tool_choice="required"))
        talk.configure(SPEAK)
        go.set()
        for name in ("look", "listen"):
            seen = await until(events, Done)
            assert [e.name for e in seen if isinstance(e, Call) and e.name] == [name]
        failed = (await until(events, Failed))[-1]
        assert isinstance(failed, Failed) and "not offered: 'rm_rf'" in failed.message


async def test_arguments_nested_without_end_fail_the_reply_and_no_other() -> None:
    async def behave(peer: Peer) -> None:
        await peer.next("session.update")
        for number, arguments in enumerate(('{"a":' + "[" * 3000, "{}")):
            response_id, name = f"resp_{number}", f"item_{number}"
            made = {"id": name, "type": "function_call", "name": "look", "status": "completed"}
            await peer.send("response.created", response={"id": response_id})
            await peer.send(
                "response.output_item.done",
                response_id=response_id,
                item={**made, "arguments": arguments},
            )
            done = {"id": response_id, "status": "completed"}
            await peer.send("response.done", response=done)
        await peer.socket.wait_closed()

    async with standing_in(behave) as address, talking(address, LOOK) as (talk, events):
        failed = (await until(events, Failed))[-1]
        assert isinstance(failed, Failed)
        assert "arguments that are no JSON object" in failed.message
        await until(events, Done)


def calls(peer: Peer, response_id: str, *names: str) -> list[Awaitable[None]]:
    """A response of nothing but calls of functions, each with its own name for `call_id`."""

    def made(name: str, kind: str, **fields: Any) -> Awaitable[None]:
        item = {"id": f"item_{name}", "type": "function_call", "name": name, "call_id": name}
        item |= {"arguments": "{}", **fields}
        return peer.send(f"response.output_item.{kind}", response_id=response_id, item=item)

    return [
        peer.send("response.created", response={"id": response_id}),
        *(made(name, "added", arguments="", status="in_progress") for name in names),
        *(made(name, "done", status="completed") for name in names),
    ]


async def declined(peer: Peer) -> str:
    """The call that the next item answers."""
    item = (await peer.next("conversation.item.create"))["item"]
    assert item["type"] == "function_call_output" and "was not taken" in item["output"]
    return str(item["call_id"])


@pytest.mark.parametrize(
    ("made", "open_calls"),
    [
        (("rm_rf",), ["rm_rf"]),
        (("look", "listen"), ["listen"]),
        (("look", "rm_rf"), ["rm_rf"]),
    ],
)
async def test_a_call_that_was_passed_over_is_answered_there(
    made: tuple[str, ...], open_calls: list[str]
) -> None:
    answered = asyncio.Queue[str]()

    async def behave(peer: Peer) -> None:
        await peer.next("session.update")
        for sent in calls(peer, "resp_1", *made):
            await sent
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        while True:
            answered.put_nowait(await declined(peer))

    ask = structs.replace(LOOK, tools=(*LOOK.tools, Tool("listen")), parallel_calls=False)
    async with standing_in(behave) as address, talking(address, ask) as (_, events):
        await until(events, Failed if made[0] == "rm_rf" else Done)
        assert [await answered.get() for _ in open_calls] == open_calls
    assert answered.empty()


async def test_a_call_that_comes_when_its_reply_is_not_wanted_is_answered_there() -> None:
    answered, taken = asyncio.Queue[str](), asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.next("session.update")
        first, *rest = calls(peer, "resp_1", "look")
        await first
        await peer.send("response.output_text.delta", **{**IDS, "response_id": "resp_1"}, delta="A")
        await peer.next("response.cancel")
        for sent in rest:
            await sent
        await peer.send("response.done", response={"id": "resp_1", "status": "cancelled"})
        answered.put_nowait(await declined(peer))
        for sent in calls(peer, "resp_2", "look"):
            await sent
        await taken.wait()
        await peer.send("response.done", response={"id": "resp_2", "status": "completed"})
        result = await peer.next("conversation.item.create")
        answered.put_nowait(result["item"]["output"])
        await peer.socket.wait_closed()

    async with standing_in(behave) as address, talking(address, LOOK) as (talk, events):
        await until(events, Say)
        talk.hush()
        assert await answered.get() == "look"
        await until(events, "reply_starts")
        seen: list[LiveEvent] = []
        while not any(isinstance(event, Call) and event.final for event in seen):
            seen += await until(events, Call)
        talk.put(Item("call", "call", call=CallPart("call_1", "look", "{}")))
        taken.set()
        talk.put(Item("result", "result", (Part("blue"),), call_id="call_1"))
        assert await answered.get() == "blue", "a call that was taken has its own result"


async def test_a_call_that_comes_before_its_message_is_whole_is_taken() -> None:
    outputs: list[str] = []

    async def behave(peer: Peer) -> None:
        of = {"response_id": "resp_1"}
        message = {"id": "item_1", "type": "message"}
        call = {"id": "item_2", "type": "function_call", "name": "look", "call_id": "call_up"}
        await peer.next("session.update")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.output_item.added", **of, item=message)
        words = {"item_id": "item_1", "delta": "Let me look."}
        await peer.send("response.output_audio_transcript.delta", **of, **words)
        whole_call = {**call, "arguments": "{}", "status": "completed"}
        await peer.send("response.output_item.added", **of, item=call)
        await peer.send("response.output_item.done", **of, item=whole_call)
        outputs.append((await peer.next("conversation.item.create"))["item"]["output"])
        await peer.send("response.output_item.done", **of, item={**message, "status": "completed"})
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        await peer.socket.wait_closed()
        assert not [event for event in peer.seen if event["type"] == "response.cancel"]

    async with standing_in(behave) as address, talking(address, LOOK) as (talk, events):
        await until(events, Call)
        talk.put(answer("Let me look."))  # the core ends the message where the call begins
        talk.put(Item("call", "call", call=CallPart("call_1", "look", "{}")))
        talk.put(Item("result", "result", (Part("blue"),), call_id="call_1"))
        await until(events, Done)
    assert outputs == ["blue"]
