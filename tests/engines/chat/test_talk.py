"""The engine over a real socket to a stand-in: what it says, and that it lives through faults."""

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
import trustme

from duologue.core.talk import Ask, Began, Call, Done, Item, Part, ReplyEvent, Say, Tool, Truncation
from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.left_out import NO_IMAGE
from duologue.engines.chat.request import Model
from duologue.engines.scripted import tone
from duologue.errors import ConfigFault, EngineFault
from duologue.runtime.ports import Talk
from duologue.testing.chat_stand_in import Answer, ChatStandIn, sine, standing_in

KEY = "sk-upstream-secret"
TOOLS = (Tool("get_weather"), Tool("get_time"))
QUESTION = Item("u1", "user", (Part(pcm=tone(500)),))
SHORT = Answer(sound_ms=200)
NOTHING = b'data: {"choices":[{"index":0,"delta":{"content":""}}]}\n\n'
THOUGHT = b'data: {"choices":[{"index":0,"delta":{"reasoning_content":"Well"}}]}\n\n'
EVENTS = (("content-type", "text/event-stream"),)


@asynccontextmanager
async def talking(*urls: str, model: Model | None = None, **settings: Any) -> AsyncIterator[Talk]:
    engine = ChatEngine(urls, model or Model("m", ("ethan",)), key=KEY, **settings)
    try:
        yield await engine.open(Ask())
    finally:
        await engine.aclose()


async def replied(talk: Talk, ask: Ask | None = None) -> list[ReplyEvent]:
    return [event async for event in talk.reply(ask or Ask())]


def text(events: list[ReplyEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Say))


def sound(events: list[ReplyEvent]) -> bytes:
    return b"".join(event.pcm for event in events if isinstance(event, Say))


async def fault_of(answer: Answer, ask: Ask | None = None, **settings: Any) -> EngineFault:
    """The fault of a reply; the one after it must work, for the talk lives on."""
    stand_in = ChatStandIn(answer, SHORT)
    async with standing_in(stand_in) as url, talking(url, **settings) as talk:
        talk.put(QUESTION)
        with pytest.raises(EngineFault) as fault:
            await replied(talk, ask)
        assert text(await replied(talk)) == SHORT.text
    return fault.value


@pytest.mark.parametrize("dialect", ["omni", "openai", "whole"])
@pytest.mark.parametrize("text_ahead", [True, False])
async def test_each_dialect_gives_the_same_words_and_sound(dialect: Any, text_ahead: bool) -> None:
    answer = Answer(text="It is sunny in Paris.", dialect=dialect, text_ahead=text_ahead)
    async with standing_in(ChatStandIn(answer)) as url, talking(url) as talk:
        talk.put(QUESTION)
        events = await replied(talk)
    assert isinstance(events[0], Began) and isinstance(events[-1], Done)
    assert text(events) == answer.text and sound(events) == sine(600, 24_000)
    says = [event for event in events if isinstance(event, Say)]
    assert says[-1].voiced == len(answer.text)
    played_s = said = 0.0
    for say in says[:-1]:
        said += len(say.text)
        played_s += len(say.pcm) / 48_000
        assert say.voiced <= min(said, 10 * (played_s + 0.011))
    assert events[-1].reason == "completed" and "first_token" in events[-1].stages


@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "length"), ("content_filter", "filtered")]
)
async def test_an_answer_that_a_limit_ended_has_not_voiced_all_its_words(
    finish: str, reason: str
) -> None:
    answer = Answer(text="It is sunny in Paris today and so on.", finish=finish)
    async with standing_in(ChatStandIn(answer)) as url, talking(url) as talk:
        *_, last, done = await replied(talk)
    assert isinstance(done, Done) and done.reason == reason
    assert isinstance(last, Say) and last.voiced == 6


@pytest.mark.parametrize("speed", [0.5, 1.5])
async def test_speed_is_made_here_for_the_upstream_knows_none(speed: float) -> None:
    answer = Answer(text="It is sunny in Paris today.", sound_ms=3000)
    async with standing_in(ChatStandIn(answer, SHORT)) as url, talking(url) as talk:
        talk.put(QUESTION)
        events = await replied(talk, Ask(speed=speed))
        played_ms = len(sound(events)) / 48
        assert played_ms == pytest.approx(3000 / speed, abs=100)
        says = [event for event in events if isinstance(event, Say)]
        assert text(events) == answer.text and says[-1].voiced == len(answer.text)
        first_s = sum(len(say.pcm) for say in says[: len(says) // 2]) / 48_000
        assert 0 < says[len(says) // 2 - 1].voiced <= 10 * speed * first_s + 1
        # Sound that is shorter than what is held back is there all the same.
        short = await replied(talk, Ask(speed=speed))
        assert text(short) == SHORT.text and len(sound(short)) / 48 > 100 / speed


async def test_nothing_is_said_before_the_first_sound() -> None:
    answer = Answer(text="One two three", chunk_delay_ms=5)
    async with standing_in(ChatStandIn(answer)) as url, talking(url) as talk:
        talk.put(QUESTION)
        first = next(e for e in await replied(talk) if isinstance(e, Say))
    assert first.text == "One two three" and first.pcm


async def test_a_reply_in_writing_streams_its_words() -> None:
    answer = Answer(text="One two", sound_ms=0)
    async with standing_in(ChatStandIn(answer)) as url, talking(url) as talk:
        events = await replied(talk, Ask(speak=False))
    assert [event.text for event in events if isinstance(event, Say)] == ["One", " two"]


async def test_the_upstreams_count_is_believed_where_it_adds_up() -> None:
    usage = {
        "prompt_tokens": 50,
        "completion_tokens": 40,
        "prompt_tokens_details": {"audio_tokens": 30, "cached_tokens": 10},
        "completion_tokens_details": {"audio_tokens": 35},
    }
    stand_in = ChatStandIn(Answer(usage=usage), Answer(usage={"prompt_tokens": -1}))
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(QUESTION)
        told, own = await replied(talk), await replied(talk)
    begans = [event for event in told if isinstance(event, Began)]
    assert begans[0].input == {"text": 8, "audio": 7}
    assert begans[-1] == Began({"text": 20, "audio": 30, "image": 0}, {"text": 10, "audio": 0})
    tokens = [event.tokens for event in told if not isinstance(event, Began)]
    assert sum(tokens) == 5
    assert [e for e in own if isinstance(e, Began)] == [Began({"text": 8, "audio": 7})]
    assert sum(e.tokens for e in own if not isinstance(e, Began)) == 4


@pytest.mark.parametrize(
    ("prompt", "completion", "max_tokens"),
    [(10**9, 4, None), (50, 10**9, None), (50, 21, 20), (10**30, 4, None)],
)
async def test_a_usage_that_cannot_be_is_replaced_by_our_estimate(
    prompt: int, completion: int, max_tokens: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    usage = {"prompt_tokens": prompt, "completion_tokens": completion}
    ask = Ask(max_tokens=max_tokens)
    async with standing_in(ChatStandIn(Answer(usage=usage))) as url, talking(url) as talk:
        talk.put(QUESTION)
        for _ in range(2):
            events = await replied(talk, ask)
            assert [e for e in events if isinstance(e, Began)] == [Began({"text": 8, "audio": 7})]
            assert sum(e.tokens for e in events if not isinstance(e, Began)) == 4
    assert caplog.text.count("its usage cannot be") == (prompt < 10**20)


async def test_a_usage_at_its_bounds_is_believed(caplog: pytest.LogCaptureFixture) -> None:
    """Sound that was made is not counted against the limit of the words."""
    made = {"prompt_tokens": 4000, "completion_tokens": 520}
    usage = {**made, "completion_tokens_details": {"audio_tokens": 500}}
    async with (
        standing_in(ChatStandIn(Answer(usage=usage))) as url,
        talking(url, context_tokens=1100) as talk,
    ):
        events = await replied(talk, Ask(max_tokens=20))
    assert [e for e in events if isinstance(e, Began)][-1].input["text"] == 4000
    assert sum(e.tokens for e in events if not isinstance(e, Began)) == 20
    assert "usage" not in caplog.text


async def test_calls_come_after_what_is_said_and_are_whole() -> None:
    calls = (("get_weather", '{"city":"Paris"}'), ("get_time", ""))
    stand_in = ChatStandIn(
        Answer(text="Let me look.", calls=calls), Answer(text="", sound_ms=0, calls=calls)
    )
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(QUESTION)
        for spoken in (True, False):
            events = await replied(talk, Ask(tools=TOOLS))
            kinds = [type(event).__name__ for event in events]
            assert ("Say" in kinds) is spoken
            made = [event for event in events if isinstance(event, Call)]
            assert kinds.index("Call") > (kinds.index("Say") if spoken else 0)
            for index, (name, arguments) in enumerate(calls):
                pieces = [call for call in made if call.index == index]
                assert [p.name for p in pieces if p.name] == [name] and pieces[-1].final
                assert "".join(p.delta for p in pieces) == (arguments or "{}")
        one = await replied(talk, Ask(tools=TOOLS, parallel_calls=False))
    assert {event.index for event in one if isinstance(event, Call)} == {0}


async def test_closing_a_reply_hangs_up_on_the_upstream_at_once() -> None:
    stand_in = ChatStandIn(Answer(sound_ms=10_000, chunk_delay_ms=100))
    loop = asyncio.get_running_loop()
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(QUESTION)
        async with aclosing(talk.reply(Ask())) as events:  # type: ignore[type-var]
            async for event in events:  # type: ignore[attr-defined]
                if isinstance(event, Say):
                    break
            closed = loop.time()
        async with asyncio.timeout(5):
            await stand_in.until(lambda it: bool(it.abort_times))
    assert stand_in.abort_times[0] - closed < 0.05 and len(stand_in.abort_times) == 1


async def test_a_reply_that_came_to_its_end_is_no_abort_and_keeps_the_connection() -> None:
    stand_in = ChatStandIn(SHORT)
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(QUESTION)
        for _ in range(3):
            await replied(talk)
    assert len(stand_in.requests) == 3 and not stand_in.abort_times
    assert len(set(stand_in.clients)) == 1


async def test_the_end_mark_is_the_end_though_the_connection_stays_open() -> None:
    stand_in = ChatStandIn(Answer(lingers=True))
    async with standing_in(stand_in) as url, talking(url) as talk, asyncio.timeout(5):
        assert text(await replied(talk)) == "It is sunny."
        await stand_in.until(lambda it: bool(it.abort_times))


async def test_a_cancelled_task_hangs_up_while_the_upstream_still_thinks() -> None:
    stand_in = ChatStandIn(Answer(first_delay_ms=60_000))
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(QUESTION)
        task = asyncio.create_task(replied(talk))
        async with asyncio.timeout(5):
            await stand_in.until(lambda it: len(it.requests) == 1)
            task.cancel()
            await asyncio.wait([task])
            await stand_in.until(lambda it: len(it.abort_times) == 1)
    assert task.cancelled()


async def test_what_was_cut_or_deleted_is_not_in_the_next_request() -> None:
    stand_in = ChatStandIn(SHORT)
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(QUESTION)
        talk.put(Item("a1", "assistant", (Part("It is sunny in Paris."),)))
        talk.put(Item("u2", "user", (Part("Stop"),)))
        talk.put(Item("u0", "system", (Part("First."),)), "")
        talk.cut("a1", 400, "It is")
        talk.drop("u2")
        reply = talk.reply(Ask())
        talk.put(Item("u3", "user", (Part("Too late for this one"),)))
        assert [event async for event in reply]
        await replied(talk, Ask(context=(Item("x", "user", (Part("Aside"),)),), keep=False))
    contents = [[m["content"] for m in r["messages"]] for r in stand_in.requests]
    assert contents[0][0] == "First." and contents[0][2:] == ["It is"]
    assert contents[0][1][0]["type"] == "input_audio"
    assert contents[1] == ["Aside"]
    assert stand_in.keys == [f"Bearer {KEY}"] * 2


@pytest.mark.parametrize(("per_s", "kept"), [(12.5, 6), (25.0, 3)])
async def test_how_much_sound_is_kept_is_a_matter_of_what_the_model_makes_of_it(
    per_s: float, kept: int
) -> None:
    stand_in = ChatStandIn(SHORT)
    model = Model("m", audio_tokens_per_s=per_s)
    limit = Truncation(kept_share=1.0, limit_tokens=815)
    async with standing_in(stand_in) as url, talking(url, model=model) as talk:
        for number in range(10):
            talk.put(Item(f"u{number}", "user", (Part(pcm=bytes(10 * 48_000)),)))
        began = (await replied(talk, Ask(truncation=limit)))[0]
    assert isinstance(began, Began) and began.input["audio"] == kept * 10 * per_s
    assert len(stand_in.requests[0]["messages"]) == kept


async def test_a_long_history_loses_its_beginning_or_is_refused() -> None:
    stand_in = ChatStandIn(SHORT)
    async with standing_in(stand_in) as url, talking(url, context_tokens=1200) as talk:
        for number in range(10):
            talk.put(Item(f"u{number}", "user", (Part(f"{number}" * 120),)))
        await replied(talk)
        with pytest.raises(EngineFault) as fault:
            talk.put(Item("u10", "user", (Part("x" * 440),)))
            await replied(talk, Ask(truncation=Truncation(allowed=False)))
    kept = [m["content"][0] for m in stand_in.requests[0]["messages"]]
    assert kept == ["8", "9"]
    assert fault.value.code == "context_length_exceeded" and len(stand_in.requests) == 1


@pytest.mark.parametrize(
    ("answer", "why", "code"),
    [
        (Answer(status=401, raw=b"Incorrect key " + KEY.encode()), "key", "engine_error"),
        (Answer(status=404, raw=b"{}"), "model", "engine_error"),
        (Answer(status=429, raw=b"{}"), "quota", "rate_limit_exceeded"),
        (
            Answer(status=400, raw=b"maximum context length is 100"),
            "longer",
            "context_length_exceeded",
        ),
        (
            Answer(status=400, raw=b"request (99 tokens) exceeds the available context size"),
            "longer",
            "context_length_exceeded",
        ),
        (Answer(status=400, raw=b"bad voice"), "refuses", "engine_error"),
        (Answer(status=503, raw=b"busy"), "failed", "engine_error"),
        (Answer(status=307, headers=(("location", "/other"),)), "redirects", "engine_error"),
        (Answer(raw=b"<html>", headers=(("content-type", "text/html"),)), "web page", ""),
        (Answer(raw=b"data: {}\n\n", headers=EVENTS), "broke", ""),
        (Answer(raw=b"nonsense"), "no chat completion", ""),
        (Answer(raw=b'{"error":{"message":"no"}}'), "failed while", ""),
        (
            Answer(raw=b'{"error":{"message":"exceeds the available context size"}}'),
            "longer",
            "context_length_exceeded",
        ),
        (Answer(rate_hz=9000), "9000 Hz", ""),
        (Answer(sound_ms=0), "without sound", ""),
        (Answer(drop_after=1), "broke off", ""),
        (Answer(drop_after=6), "broke off", ""),
        (Answer(finish="abort"), "gave up in the middle", ""),
        (Answer(finish="error"), "gave up in the middle", ""),
        (Answer(raw=b"data: [DONE]\n\n", headers=EVENTS), "broke off", ""),
    ],
)
async def test_a_fault_says_why_and_the_next_turn_works(
    answer: Answer, why: str, code: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="duologue")
    fault = await fault_of(answer)
    assert why in fault.message and fault.code == (code or "engine_error")
    assert KEY not in fault.message and KEY not in caplog.text
    assert "127.0.0.1" not in fault.message and "upstream 127.0.0.1" in caplog.text


async def test_the_log_has_an_upstreams_words_without_the_secrets_in_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    said = b"Backend at 10.1.2.3:8000 is out of memory (api_key=abcdef123456, AKIASECRETSECRET1234)"
    await fault_of(Answer(status=503, raw=said))
    assert "is out of memory" in caplog.text
    assert not any(word in caplog.text for word in ("10.1.2.3", "abcdef123456", "AKIASECRET"))


@pytest.mark.parametrize("arguments", ["{", "[1]", "sunny"])
async def test_a_call_that_is_no_json_object_is_a_fault(arguments: str) -> None:
    for said in ("Let me look.", ""):
        answer = Answer(text=said, sound_ms=300 if said else 0, calls=(("get_time", arguments),))
        assert "get_time" in (await fault_of(answer, Ask(tools=TOOLS))).message


async def test_a_call_of_what_was_not_offered_is_a_fault() -> None:
    answer = Answer(text="", sound_ms=0, calls=(("launch", "{}"),))
    assert "not offered" in (await fault_of(answer, Ask(tools=TOOLS))).message


async def test_a_call_whose_pieces_have_an_id_each_is_one_call() -> None:
    """Servers of 2024 number a call's pieces alike, but give each an id of its own."""
    pieces: tuple[dict[str, Any], ...] = (
        {"id": "a", "function": {"name": "get_time", "arguments": ""}},
        {"id": "b", "function": {"arguments": '{"at":'}},
        {"id": "c", "function": {"arguments": "1}"}},
    )
    deltas = [{"tool_calls": [{"index": 0, **piece}]} for piece in pieces]
    data = [json.dumps({"choices": [{"delta": delta}]}).encode() for delta in deltas]
    raw = b"".join(b"data: " + event + b"\n\n" for event in [*data, b"[DONE]"])
    async with standing_in(ChatStandIn(Answer(raw=raw, headers=EVENTS))) as url:
        async with talking(url) as talk:
            made = [e for e in await replied(talk, Ask(tools=TOOLS)) if isinstance(e, Call)]
    assert {call.index for call in made} == {0} and made[0].name == "get_time"
    assert "".join(call.delta for call in made) == '{"at":1}'


async def test_calls_that_were_not_asked_for_are_passed_over() -> None:
    calls = (("get_weather", '{"city":"Oslo"}'), ("get_time", "{}"))
    both = Answer(text="", sound_ms=0, calls=calls)
    none = Answer(text="So.", sound_ms=100, calls=calls)
    async with standing_in(ChatStandIn(both, none)) as url, talking(url) as talk:
        named = await replied(talk, Ask(tools=TOOLS, tool_choice="function:get_time"))
        forbidden = await replied(talk, Ask(tools=TOOLS, tool_choice="none"))
    assert [(e.index, e.name) for e in named if isinstance(e, Call) and e.name] == [(0, "get_time")]
    assert not any(isinstance(event, Call) for event in forbidden)


async def test_a_call_of_another_function_than_the_one_required_does_not_do() -> None:
    answer = Answer(text="", sound_ms=0, calls=(("get_weather", '{"city":"Oslo"}'),))
    fault = await fault_of(answer, Ask(tools=TOOLS, tool_choice="function:get_time"))
    assert "without the function call that was required" in fault.message


@pytest.mark.parametrize("said", ["Let me look.", ""])
async def test_a_call_that_the_limit_cut_off_is_left_unfinished(said: str) -> None:
    calls = (("get_time", "{}"), ("get_weather", '{"city"'))
    answer = Answer(text=said, sound_ms=300 if said else 0, calls=calls, finish="length")
    async with standing_in(ChatStandIn(answer)) as url, talking(url) as talk:
        events = await replied(talk, Ask(tools=TOOLS, max_tokens=20))
    assert isinstance(events[-1], Done) and events[-1].reason == "length"
    assert [e.index for e in events if isinstance(e, Call) and e.final] == [0]


async def test_words_in_place_of_a_required_call_are_a_fault() -> None:
    fault = await fault_of(SHORT, Ask(tools=TOOLS, tool_choice="function:get_time"))
    assert "without the function call that was required" in fault.message


async def test_a_slow_upstream_is_given_up_before_and_in_its_answer() -> None:
    for answer in (
        Answer(first_delay_ms=5000),
        Answer(chunk_delay_ms=5000),
        Answer(first_delay_ms=5000, heartbeat_ms=50),  # comments are not an answer
        Answer(first_delay_ms=5000, heartbeat_ms=50, heartbeat=NOTHING),  # nor is this
    ):
        assert "said nothing for 0.2 s" in (await fault_of(answer, timeout_s=0.2)).message


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: "


@pytest.mark.parametrize(
    ("at_once", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Waiting: ", b"."),
        (HEAD + b"text/event-stream\r\n\r\ndata: ", b'{"choices":[]},'),
        (HEAD + b"text/event-stream\r\n\r\n", NOTHING),
        (HEAD + b"application/json\r\n\r\n{", b'"choices":[],'),
    ],
    ids=["head", "event", "events", "whole"],
)
async def test_one_that_drips_is_given_up_in_time(at_once: bytes, drop: bytes) -> None:
    left = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(at_once)
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(drop)
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()
        left.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        async with talking(url, timeout_s=0.2) as talk, asyncio.timeout(5):
            talk.put(QUESTION)
            with pytest.raises(EngineFault, match=r"said nothing for 0\.2 s"):
                await replied(talk)
            await left.wait()
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(sound_ms=400, chunk_ms=40, chunk_delay_ms=50, cut_early=True),
        Answer(first_delay_ms=600, heartbeat_ms=50, heartbeat=THOUGHT),
    ],
)
async def test_one_that_gets_on_is_waited_for_however_its_writes_are_cut(answer: Answer) -> None:
    async with standing_in(ChatStandIn(answer)) as url, talking(url, timeout_s=0.4) as talk:
        assert text(await replied(talk)) == answer.text


async def test_an_upstream_that_is_not_there_is_named_as_such() -> None:
    async with standing_in(ChatStandIn()) as url:
        pass
    async with talking(url) as talk:
        talk.put(QUESTION)
        with pytest.raises(EngineFault, match="cannot be reached"):
            await replied(talk)


async def test_a_certificate_must_be_good() -> None:
    authority = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    async with standing_in(ChatStandIn(SHORT), certificate=server) as url:
        async with talking(url) as talk:
            with pytest.raises(EngineFault, match="certificate"):
                await replied(talk)
        trust = ssl.create_default_context()
        authority.configure_trust(trust)
        async with talking(url, trust=trust) as talk:
            assert text(await replied(talk)) == SHORT.text


async def test_another_upstream_is_asked_before_the_first_sound_and_not_after() -> None:
    for drop_after in (4, 6):  # three words of text are said by then, or sound as well
        ill, well = ChatStandIn(Answer(drop_after=drop_after)), ChatStandIn(SHORT)
        async with (
            standing_in(ill) as first,
            standing_in(well) as second,
            talking(first, second) as talk,
        ):
            talk.put(QUESTION)
            if drop_after == 4:
                assert text(await replied(talk)) == SHORT.text
                assert len(ill.requests) == len(well.requests) == 1
            else:
                with pytest.raises(EngineFault, match="broke off"):
                    await replied(talk)
                assert not well.requests


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_one_that_refuses_what_another_takes_is_passed_over_for_a_while(status: int) -> None:
    """A wrong key, another model or an older server at one of the URLs: nobody notices."""
    ill, well = ChatStandIn(Answer(status=status, raw=b"no"), SHORT), ChatStandIn(SHORT)
    async with (
        standing_in(ill) as one,
        standing_in(well) as two,
        talking(one, two, misfit_s=0.02) as talk,
    ):
        assert text(await replied(talk)) == SHORT.text
        assert (len(ill.requests), len(well.requests)) == (1, 1)
        async with asyncio.timeout(10):
            await ill.until(lambda it: it.looks >= 1)
            while len(ill.requests) < 2:
                await replied(talk)


async def test_one_that_refuses_is_left_alone_though_a_look_would_find_it_well() -> None:
    ill, well = ChatStandIn(Answer(status=404, raw=b"no")), ChatStandIn(SHORT)
    async with standing_in(ill) as one, standing_in(well) as two, talking(one, two) as talk:
        for _ in range(4):
            assert text(await replied(talk)) == SHORT.text
    assert (len(ill.requests), len(well.requests), ill.looks) == (1, 4, 0)


async def test_a_request_that_two_refuse_is_not_asked_of_a_third_and_harms_neither() -> None:
    """It is the request then: more tries would cost time, and pass over what is well."""
    refusal = Answer(status=400, raw=b"no")
    first, second, third = ChatStandIn(refusal, SHORT), ChatStandIn(refusal, SHORT), ChatStandIn()
    async with (
        standing_in(first) as one,
        standing_in(second) as two,
        standing_in(third) as three,
        talking(one, two, three) as talk,
    ):
        with pytest.raises(EngineFault, match="refuses"):
            await replied(talk)
        await replied(talk)
    assert [len(stand_in.requests) for stand_in in (first, second, third)] == [2, 1, 0]


async def test_a_conversation_that_is_too_long_for_one_is_not_asked_elsewhere() -> None:
    first, second = ChatStandIn(Answer(status=413, raw=b"no")), ChatStandIn()
    async with standing_in(first) as one, standing_in(second) as two, talking(one, two) as talk:
        with pytest.raises(EngineFault, match="longer"):
            await replied(talk)
    assert not second.requests


IMAGE = Item("i1", "user", (Part(image_url="data:image/png;base64,AA=="), Part("What is it?")))


async def test_an_image_that_is_refused_fails_one_turn_and_not_the_next() -> None:
    refusal = Answer(status=400, raw=b"At most 0 image(s) may be provided")
    stand_in = ChatStandIn(SHORT, refusal, SHORT)
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(QUESTION)
        await replied(talk)
        talk.put(IMAGE)
        with pytest.raises(EngineFault, match="HTTP 400.*an image that is new here.*left out"):
            await replied(talk)
        assert text(await replied(talk)) == SHORT.text
        talk.drop(IMAGE.id)
        talk.put(IMAGE)
        await replied(talk)
    asked = (stand_in.requests[1], stand_in.requests[3])
    kinds = [[part["type"] for part in r["messages"][-1]["content"]] for r in asked]
    assert kinds == [["image_url", "text"], ["image_url", "text"]]
    left_out = stand_in.requests[2]["messages"]
    assert left_out[0]["content"][0]["type"] == "input_audio"
    assert left_out[-1]["content"] == f"{NO_IMAGE} What is it?"


async def test_a_refusal_out_of_band_leaves_the_conversation_as_it_is() -> None:
    stand_in = ChatStandIn(Answer(status=400, raw=b"no image"), SHORT)
    async with standing_in(stand_in) as url, talking(url) as talk:
        talk.put(IMAGE)
        with pytest.raises(EngineFault, match=r"\(HTTP 400\)\.$"):
            await replied(talk, Ask(context=(IMAGE,), keep=False))
        await replied(talk)
    assert stand_in.requests[1]["messages"][0]["content"][0]["type"] == "image_url"


async def test_the_limit_has_another_name_where_its_name_is_refused() -> None:
    told = b'{"error":{"message":"Unrecognized field: max_completion_tokens"}}'
    stand_in = ChatStandIn(Answer(status=422, raw=told), SHORT)
    async with standing_in(stand_in) as url, talking(url) as talk:
        for _ in range(2):
            assert text(await replied(talk, Ask(max_tokens=99))) == SHORT.text
    names = [{k: v for k, v in r.items() if k.startswith("max_")} for r in stand_in.requests]
    assert names == [{"max_completion_tokens": 99}, {"max_tokens": 99}, {"max_tokens": 99}]


async def test_a_limit_that_is_refused_by_either_name_is_a_fault() -> None:
    told = b'{"error":{"message":"max_completion_tokens and max_tokens are too large"}}'
    stand_in = ChatStandIn(Answer(status=400, raw=told))
    async with standing_in(stand_in) as url, talking(url) as talk:
        for _ in range(2):
            with pytest.raises(EngineFault, match="refuses the request"):
                await replied(talk, Ask(max_tokens=99))
    names = [next(k for k in r if k.startswith("max_")) for r in stand_in.requests]
    assert names == ["max_completion_tokens", "max_tokens"] * 2  # nothing was learned


async def test_the_least_busy_upstream_is_asked() -> None:
    slow = Answer(first_delay_ms=60_000)
    stand_ins = [ChatStandIn(slow), ChatStandIn(slow)]
    async with standing_in(stand_ins[0]) as one, standing_in(stand_ins[1]) as two:
        async with talking(one, two) as talk:
            tasks = []
            async with asyncio.timeout(10):
                for count in range(4):
                    tasks.append(asyncio.create_task(replied(talk)))
                    asked = stand_ins[count % 2]
                    await asked.until(lambda it, count=count: len(it.requests) == 1 + count // 2)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
    assert [len(one.requests) for one in stand_ins] == [2, 2]


async def test_one_that_failed_is_left_alone_until_it_looks_well() -> None:
    ill, well = ChatStandIn(Answer(status=500, raw=b""), SHORT), ChatStandIn(SHORT)
    ill.is_well = False
    async with (
        standing_in(ill) as first,
        standing_in(well) as second,
        talking(first, second, check_s=0.02) as talk,
    ):
        for _ in range(3):
            assert text(await replied(talk)) == SHORT.text
        assert (len(ill.requests), len(well.requests)) == (1, 3)
        async with asyncio.timeout(10):
            await ill.until(lambda it: it.looks >= 2)
            assert len(ill.requests) == 1
            ill.is_well = True
            while len(ill.requests) < 2:
                await replied(talk)


@pytest.mark.parametrize(
    "url", ["ftp://host", "host:8000", "http://", "http://u:secret@host", "http://host?key=secret"]
)
def test_a_url_that_cannot_be_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ConfigFault, match="upstream") as fault:
        ChatEngine((url,), Model("m"))
    assert "secret" not in str(fault.value)


def test_a_key_that_no_header_can_carry_is_refused() -> None:
    with pytest.raises(ConfigFault, match="upstream_key"):
        ChatEngine(("http://host",), Model("m"), key="sk-\n")


def test_it_says_what_it_was_told_that_it_cannot_do() -> None:
    traits = ChatEngine(("http://host",), Model("m"), sees=False, tools=False).traits
    assert not traits.takes_images and not traits.tools


def test_it_says_that_it_hears_and_speaks() -> None:
    traits = ChatEngine(("http://host",), Model("m", ("ethan",))).traits
    assert traits.hears and traits.speaks and traits.rewinds and traits.voices == ("ethan",)
