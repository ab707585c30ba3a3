"""The composed engine with its mind on another server; that server is a stand-in."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trustme
from jsonschema import Draft202012Validator

from duologue.core.talk import (
    Ask,
    Began,
    Call,
    CallPart,
    Done,
    Item,
    Part,
    ReplyEvent,
    Tool,
    Truncation,
)
from duologue.engines.composed.engine import ComposedEngine
from duologue.engines.composed.talk import ComposedTalk
from duologue.engines.remote.chat_mind import ChatMind
from duologue.errors import EngineFault
from duologue.remote.server import RemoteServer
from engines.composed.engine_kit import events, text, tokens
from engines.composed.parts_kit import ScriptedEar, ScriptedMouth, said, spoken, typed
from engines.remote.stand_in import (
    DONE,
    KEY,
    Answer,
    StandIn,
    chunk,
    saying,
    stand_in,
    tool,
    usage,
    words,
)

TOOLS = (Tool("weather", "The weather.", {"type": "object", "properties": {}}),)


@asynccontextmanager
async def talking(
    upstream: StandIn | str, *, answer_s: float = 5.0, context_tokens: int = 4096
) -> AsyncIterator[ComposedTalk]:
    url = upstream if isinstance(upstream, str) else upstream.url
    outside = asyncio.all_tasks()
    server = RemoteServer(url, "llm", "the language model's server", KEY, answer_s=answer_s)
    mind = ChatMind(server, context_tokens=context_tokens)
    engine = ComposedEngine(ScriptedEar(), mind, ScriptedMouth())
    try:
        yield await engine.open(Ask())
    finally:
        await engine.aclose()
    left = [t.get_name() for t in asyncio.all_tasks() - outside]
    assert not [name for name in left if name in ("reply", "guess", "think", "speak")]


def calls(got: list[ReplyEvent]) -> dict[int, tuple[str, str, bool]]:
    """Of each call the name, the arguments and whether it was closed."""
    made: dict[int, tuple[str, str, bool]] = {}
    for event in got:
        if isinstance(event, Call):
            name, arguments, final = made.get(event.index, ("", "", False))
            made[event.index] = name + event.name, arguments + event.delta, final or event.final
    return made


async def test_what_streams_in_is_spoken_and_usage_is_the_upstreams() -> None:
    async with stand_in(saying("Sure, here it is. And a second one.")) as upstream:
        async with talking(upstream) as talk:
            talk.put(spoken("u", "Go on."))
            got = await events(talk.reply(Ask(instructions="Be kind.", max_tokens=308)))
    assert text(got).split() == "Sure, here it is. And a second one.".split()
    assert [e for e in got if isinstance(e, Began)][-1] == Began(
        input={"text": 50}, cached={"text": 20}
    )
    assert tokens(got) == 9
    assert isinstance(got[-1], Done) and got[-1].reason == "completed"
    assert {"transcript", "first_token", "first_clause"} == set(got[-1].stages)
    (asked,) = upstream.requests
    assert asked["model"] == "some-model" and asked["stream"] and asked["max_tokens"] == 77
    assert asked["messages"][0]["content"].endswith("Be kind.")
    assert asked["messages"][1:] == [{"role": "user", "content": "Go on."}]
    assert f"Bearer {KEY}" in upstream.headers[0]
    assert upstream.headers[0].startswith("POST /v1/chat/completions ")


async def test_the_first_clause_is_spoken_while_the_rest_is_still_awaited() -> None:
    answer = Answer(*words("One is here now. Two"), chunk({}, "stop"), held=4)
    async with stand_in(answer) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        reply = talk.reply(Ask())
        heard = ""
        while "now." not in heard:
            heard += text([await anext(reply)])
        assert not answer.gate.is_set()
        answer.gate.set()
        assert "Two" in text(await events(reply))


async def test_an_interruption_closes_the_request() -> None:
    answer = Answer(*words("One is here now. Two"), chunk({}, "stop"), held=4)
    async with stand_in(answer, saying("Fine.")) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        reply = talk.reply(Ask())
        await answer.reached.wait()
        await reply.aclose()
        await asyncio.wait_for(answer.dropped.wait(), 2)
        talk.put(said("a", "One is here now."))
        talk.cut("a", 200, "One is")
        assert text(await events(talk.reply(Ask()))) == "Fine. "
    assert upstream.requests[1]["messages"][-1] == {"role": "assistant", "content": "One is"}


async def test_a_guess_that_came_true_is_asked_for_once() -> None:
    async with stand_in(saying("Yes.")) as upstream, talking(upstream) as talk:
        talk.expect(spoken("u", "Is it?"))
        await upstream.asked.wait()
        talk.put(spoken("u", "Is it?", silence=100))
        assert text(await events(talk.reply(Ask()))).strip() == "Yes."
    assert len(upstream.requests) == 1


async def test_a_reply_out_of_band_reads_its_own_context_only() -> None:
    async with stand_in(saying("Yes.")) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "A secret."))
        ask = Ask(context=(typed("c", "Is it?"),), keep=False, speak=False, instructions="Judge.")
        await events(talk.reply(ask))
    assert upstream.requests[0]["messages"] == [
        {"role": "system", "content": "Judge."},
        {"role": "user", "content": "Is it?"},
    ]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [
                tool(0, "weather", "", id="a"),
                tool(0, None, '{"city":'),
                tool(0, None, '"Rome"}'),
                tool(1, "weather", '{"city":"Oslo"}', id="b"),
            ],
            id="in pieces",
        ),
        pytest.param(
            [
                tool(0, "weather", '{"city":"Rome"}', id="a"),
                tool(0, "weather", '{"city":"Oslo"}', id="b"),
            ],
            id="whole, under one index",
        ),
    ],
)
async def test_calls_come_in_pieces_or_whole(pieces: list[bytes]) -> None:
    answer = Answer(*words("Let me look."), *pieces, chunk({}, "tool_calls"), usage(60, 30), DONE)
    async with stand_in(answer) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        got = await events(talk.reply(Ask(tools=TOOLS, tool_choice="function:weather")))
    assert text(got).strip() == "Let me look."
    assert calls(got) == {
        0: ("weather", '{"city":"Rome"}', True),
        1: ("weather", '{"city":"Oslo"}', True),
    }
    assert tokens(got) == 30
    (asked,) = upstream.requests
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert "parallel_tool_calls" not in asked
    assert asked["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "weather",
                "description": "The weather.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


async def test_a_result_goes_back_to_its_call() -> None:
    async with stand_in(saying("Sunny.")) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        talk.put(Item("c", "call", call=CallPart("id1", "weather", '{"city":"Rome"}')))
        talk.put(Item("r", "result", (Part(text="sun"),), call_id="id1"))
        await events(talk.reply(Ask(tools=TOOLS)))
    assert [m["role"] for m in upstream.requests[0]["messages"]][1:] == [
        "user",
        "assistant",
        "tool",
    ]
    assert upstream.requests[0]["messages"][-1]["tool_call_id"] == "id1"


async def test_a_history_that_is_too_long_loses_its_beginning_or_fails() -> None:
    async with stand_in(saying("Yes.")) as upstream:
        async with talking(upstream, context_tokens=1024) as talk:
            for number in range(20):
                talk.put(typed(f"u{number}", f"{number} " + "word " * 60))
            with pytest.raises(EngineFault) as fault:
                await events(talk.reply(Ask(truncation=Truncation(allowed=False))))
            assert fault.value.code == "context_length_exceeded"
            assert not upstream.requests
            await events(talk.reply(Ask()))
    sent = json.dumps(upstream.requests[0]["messages"])
    assert "19 word" in sent and "0 word word" not in sent.split("19 word")[0].split("18 word")[0]


FAULTS = {
    "HTML": (Answer(b"<html>hello</html>", kind="text/html"), "text/html"),
    "refused key": (
        Answer(
            json.dumps({"error": {"message": f"bad key {KEY}"}}).encode(),
            status="401 Unauthorized",
            kind="application/json",
        ),
        "llm_key",
    ),
    "no such model": (
        Answer(
            b'{"error":{"message":"no model"}}', status="404 Not Found", kind="application/json"
        ),
        "404",
    ),
    "quota": (
        Answer(
            json.dumps({"error": {"message": f"{KEY} is over its quota"}}).encode(),
            status="429 Too Many Requests",
            kind="application/json",
            headers="Retry-After: 100\r\n",
        ),
        "quota",
    ),
    "error page": (
        Answer(b"<html>oops</html>", status="502 Bad Gateway", kind="text/html"),
        "a page of HTML",
    ),
    "redirect": (
        Answer(b"", status="302 Found", headers="Location: http://127.0.0.1:1/v1\r\n"),
        "redirect",
    ),
    "connection cut": (Answer(*words("Well, this is"), cut=True), "broke off"),
    "half a reply": (Answer(*words("Well, this is"), DONE), "broke off"),
    "aborted over there": (Answer(*words("Well, this"), chunk({}, "abort"), DONE), "(abort)"),
    "failed over there": (Answer(*words("Well, this"), chunk({}, "error"), DONE), "(error)"),
    "error in the stream": (
        Answer(*words("Well,"), b'data: {"error":{"message":"out of memory"}}\n\n'),
        "out of memory",
    ),
    "no JSON": (Answer(b"data: {oops\n\n"), "nonsense"),
    "another shape": (Answer(b'data: {"choices":[{"delta":{"content":7}}]}\n\n'), "nonsense"),
    "a call of what was not offered": (
        Answer(tool(0, "rm_rf", "{}", id="a"), chunk({}, "tool_calls"), DONE),
        "not offered: 'rm_rf'",
    ),
    "a call with NaN": (
        Answer(tool(0, "weather", '{"x":NaN}', id="a"), chunk({}, "tool_calls"), DONE),
        "no JSON",
    ),
    "a call that is nested too deeply": (
        Answer(tool(0, "weather", '{"x":' + "[" * 9999, id="a"), chunk({}, "tool_calls"), DONE),
        "no JSON",
    ),
    "a chunk that is nested too deeply": (
        Answer(b"data: " + b"[" * 99_999 + b"\n\n"),
        "nested too deeply",
    ),
    "a whole answer that is an error": (
        Answer(b'{"error":{"message":"out of memory"}}', kind="application/json"),
        "out of memory",
    ),
    "a whole answer without an end": (
        Answer(*[b'"' * 65_536] * 17, kind="application/json"),
        "nonsense",
    ),
    "a call that is no JSON": (
        Answer(tool(0, "weather", '{"city":', id="a"), chunk({}, "tool_calls"), DONE),
        "no JSON",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_fails_the_reply_with_its_reason_and_the_next_one_works(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "duologue")
    bad, reason = FAULTS[name]
    async with stand_in(bad, saying("Fine.")) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        with pytest.raises(EngineFault) as fault:
            await events(talk.reply(Ask(tools=TOOLS)))
        assert reason in fault.value.message
        assert text(await events(talk.reply(Ask()))).strip() == "Fine."
    assert KEY not in fault.value.message and KEY not in caplog.text
    assert "127.0.0.1" not in fault.value.message


@pytest.mark.parametrize(
    "beat",
    [
        None,
        b": alive\n\n",
        chunk(),
        chunk({"role": "assistant", "content": ""}),
        usage(5, 0),
    ],
)
async def test_a_slow_server_is_given_up(beat: bytes | None) -> None:
    """Also one that shows that it is alive and says nothing."""
    heartbeat_s = 0.05 if beat else None
    slow = Answer(b"", held=0, heartbeat_s=heartbeat_s, beat=beat or b"")
    async with stand_in(slow, saying("Fine.")) as upstream:
        async with talking(upstream, answer_s=0.2) as talk:
            talk.put(typed("u", "Go on."))
            with pytest.raises(EngineFault, match=r"did not answer within 0\.2 s"):
                await events(talk.reply(Ask()))
            assert text(await events(talk.reply(Ask()))).strip() == "Fine."


async def test_a_head_that_drips_in_is_not_waited_for() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
        while not reader.at_eof():
            writer.write(b"a")
            with suppress(TimeoutError):
                await asyncio.wait_for(reader.read(4096), 0.05)
        writer.close()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1#m"
        async with talking(url, answer_s=0.2) as talk, asyncio.timeout(5):
            talk.put(typed("u", "Go on."))
            with pytest.raises(EngineFault, match=r"did not answer within 0\.2 s"):
                await events(talk.reply(Ask()))


@pytest.mark.parametrize(
    "told",
    [
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": "many"},
        {"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}},
        [],
    ],
)
async def test_a_usage_that_cannot_be_does_not_spoil_what_was_said(told: object) -> None:
    answer = Answer(*words("Sunny."), chunk({}, "stop"), chunk(None, usage=told), DONE)
    async with stand_in(answer) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        got = await events(talk.reply(Ask()))
    assert text(got).strip() == "Sunny." and tokens(got) > 0
    began = [event for event in got if isinstance(event, Began)][-1]
    assert 0 <= began.cached.get("text", 0) <= began.input["text"] and began.input["text"] > 0


async def test_a_certificate_must_be_good() -> None:
    certificate = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(certificate)
    async with stand_in(saying("Hi."), certificate=certificate) as upstream:
        async with talking(upstream) as talk:
            talk.put(typed("u", "Go on."))
            with pytest.raises(EngineFault, match="has a certificate that is not valid"):
                await events(talk.reply(Ask()))
    assert not upstream.requests


async def test_an_absent_server_fails_the_reply_only() -> None:
    async with talking("http://127.0.0.1:9/v1#m") as talk:
        talk.put(typed("u", "Go on."))
        for _ in range(2):
            with pytest.raises(EngineFault, match="cannot be reached"):
                await events(talk.reply(Ask()))


async def test_the_limit_ends_a_reply_and_a_call_that_it_cut_is_not_closed() -> None:
    answer = Answer(tool(0, "weather", '{"city":', id="a"), chunk({}, "length"), DONE)
    async with stand_in(answer) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        got = await events(talk.reply(Ask(tools=TOOLS)))
    assert calls(got) == {0: ("weather", '{"city":', False)}
    assert isinstance(got[-1], Done) and got[-1].reason == "length"


async def test_thinking_aloud_is_not_spoken() -> None:
    async with stand_in(saying("<think> Hm, the user </think> Yes.")) as upstream:
        async with talking(upstream) as talk:
            talk.put(typed("u", "Is it?"))
            assert text(await events(talk.reply(Ask()))).strip() == "Yes."


WEATHER = Tool(
    "weather",
    "The weather.",
    {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}},
        "$defs": {"city": {"type": "string"}},
    },
)


@pytest.mark.parametrize("choice", ["required", "function:weather"])
async def test_a_call_that_is_required_comes_though_the_server_does_not_see_to_it(
    choice: str, caplog: pytest.LogCaptureFixture
) -> None:
    ask = Ask(
        tools=(Tool("clock"), WEATHER), tool_choice=choice, instructions="Be kind.", max_tokens=99
    )
    call = [*words('{"name": "weather", "arguments": {"city": "Rome"}}'), chunk({}, "stop")]
    answers = [
        saying("I would rather chat about it."),
        Answer(*call, usage(80, 12), DONE),
        Answer(*call, usage(90, 13), DONE),
        saying("Sunny."),
    ]
    spent: list[int] = []
    async with stand_in(*answers) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        for _ in range(2):
            got = await events(talk.reply(ask))
            assert not text(got)
            ((name, arguments, closed),) = calls(got).values()
            assert (name, json.loads(arguments), closed) == ("weather", {"city": "Rome"}, True)
            spent.append(tokens(got))
        assert spent == [9 + 12, 13]  # what was said in vain was paid for, too
        assert text(await events(talk.reply(Ask(tools=(WEATHER,))))).strip() == "Sunny."
    first, second, third, free = upstream.requests
    assert "tools" in first and "tools" in free  # the rest is asked as ever
    assert "tools" not in second and "tool_choice" not in second
    assert second == third  # the server is known by then
    assert second["max_tokens"] == 99
    head = second["messages"][0]["content"]
    assert "Be kind." in head and '"name": "weather"' in head
    schema = second["response_format"]["json_schema"]["schema"]
    assert list(schema["$defs"].values()) == [{"type": "string"}]
    allowed = schema.get("anyOf", [schema])
    assert [one["properties"]["name"]["const"] for one in allowed] == (
        ["clock", "weather"] if choice == "required" else ["weather"]
    )
    assert caplog.text.count("answers with words where a function call is required") == 1


async def test_tools_whose_definitions_have_one_name_keep_their_own() -> None:
    def tool_of(name: str, keyword: str, kind: str) -> Tool:
        there = f"#/{keyword}/place"
        return Tool(
            name,
            parameters={
                "type": "object",
                "properties": {
                    "at": {"$ref": there},
                    "via": {"type": "array", "items": {"anyOf": [{"$ref": there}]}},
                    "$ref": {"type": "boolean"},
                },
                "required": ["at"],
                keyword: {
                    "place": {"$ref": f"#/{keyword}/point"},
                    "point": {"type": kind},
                },
            },
        )

    tools = (
        tool_of("go", "$defs", "string"),
        tool_of("jump", "$defs", "integer"),
        tool_of("fly", "definitions", "boolean"),
        Tool("stop"),
    )
    asked = [tool.parameters for tool in tools]
    before = json.dumps(asked)
    call = Answer(*words('{"name": "go", "arguments": {"at": "Rome"}}'), chunk({}, "stop"), DONE)
    async with stand_in(saying("No."), call) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go."))
        await events(talk.reply(Ask(tools=tools, tool_choice="required")))
    schema = upstream.requests[1]["response_format"]["json_schema"]["schema"]
    validator = Draft202012Validator(schema)

    def fits(name: str, arguments: object) -> bool:
        return validator.is_valid({"name": name, "arguments": arguments})

    for name, value in (("go", "Rome"), ("jump", 7), ("fly", True)):
        fitting = [v for v in ("Rome", 7, True) if fits(name, {"at": v, "via": [v]})]
        assert fitting == [value]
        assert not fits(name, {"at": value, "via": [None]})
        assert fits(name, {"at": value, "$ref": True})
        assert not fits(name, {"at": value, "$ref": 1})
    assert fits("stop", {})
    assert json.dumps(asked) == before  # the session's tools are as they were


async def test_a_long_speech_in_place_of_a_required_call_is_not_waited_for() -> None:
    speech = Answer(*words("blah " * 200), chunk({}, "stop"), DONE, held=150)
    call = Answer(*words('{"name": "weather", "arguments": {}}'), chunk({}, "stop"), DONE)
    async with stand_in(speech, call) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        got = await events(talk.reply(Ask(tools=TOOLS, tool_choice="required")))
        assert calls(got) == {0: ("weather", "{}", True)}
        await asyncio.wait_for(speech.dropped.wait(), 5)


@pytest.mark.parametrize("answer", ["I am sorry.", '{"name": "clock", "arguments": {}}', "{}"])
async def test_a_required_call_that_does_not_come_either_way_fails_the_reply(answer: str) -> None:
    async with stand_in(saying("No."), saying(answer)) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        with pytest.raises(EngineFault, match="without the function call that was required"):
            await events(talk.reply(Ask(tools=TOOLS, tool_choice="required")))


async def test_a_required_call_that_the_limit_cut_is_no_call() -> None:
    cut = Answer(*words('{"name": "weather", "argu'), chunk({}, "length"), DONE)
    async with stand_in(saying("No."), cut) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        got = await events(talk.reply(Ask(tools=TOOLS, tool_choice="required", max_tokens=5)))
    assert not calls(got)
    assert isinstance(got[-1], Done) and got[-1].reason == "length"


async def test_a_limit_that_left_no_room_for_a_required_call_teaches_nothing_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cut = Answer(*words("I"), chunk({}, "length"), usage(80, 1), DONE)
    call = Answer(tool(0, "weather", "{}", id="a"), chunk({}, "tool_calls"), DONE)
    async with stand_in(cut, call) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        got = await events(talk.reply(Ask(tools=TOOLS, tool_choice="required", max_tokens=1)))
        assert not calls(got) and not text(got)
        assert isinstance(got[-1], Done) and got[-1].reason == "length"
        assert tokens(got) == 1
        got = await events(talk.reply(Ask(tools=TOOLS, tool_choice="required")))
        assert calls(got) == {0: ("weather", "{}", True)}
    assert all("tools" in request for request in upstream.requests)
    assert "where a function call is required" not in caplog.text


REFUSED_LIMIT = (
    b'{"error":{"message":"Unsupported parameter: \'max_tokens\' is not supported with this model. '
    b'Use \'max_completion_tokens\' instead.","param":"max_tokens","code":"unsupported_parameter"}}'
)


async def test_the_limit_has_another_name_where_its_name_is_refused() -> None:
    refusal = Answer(REFUSED_LIMIT, status="400 Bad Request", kind="application/json")
    async with stand_in(refusal, saying("Fine."), saying("Yes.")) as upstream:
        async with talking(upstream) as talk:
            talk.put(typed("u", "Go on."))
            for said in ("Fine.", "Yes."):
                assert text(await events(talk.reply(Ask(max_tokens=308)))).strip() == said
    names = [{k: v for k, v in r.items() if k.startswith("max_")} for r in upstream.requests]
    assert names == [{"max_tokens": 77}, *[{"max_completion_tokens": 77}] * 2]
    assert upstream.requests[0]["messages"] == upstream.requests[1]["messages"]


async def test_a_limit_that_is_refused_by_either_name_fails_the_reply() -> None:
    refusals = [Answer(REFUSED_LIMIT, status="400 Bad Request", kind="application/json")] * 4
    async with stand_in(*refusals) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        for _ in range(2):
            with pytest.raises(EngineFault, match="refused \\(400\\): Unsupported parameter"):
                await events(talk.reply(Ask(max_tokens=308)))
    assert len(upstream.requests) == 4  # nothing was learned


HALF = b'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'


async def test_half_a_surrogate_pair_is_joined_with_the_other_or_becomes_a_sign() -> None:
    """An emoji cut in two by the server's stream, in words and in the arguments of a call."""
    split = Answer(HALF % b"Hi \\ud83d", HALF % b"\\ude00. Oh \\ud83d", chunk({}, "stop"), DONE)
    piece = b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{%s}}]}}]}\n\n'
    called = Answer(
        piece % b'"name":"weather","arguments":"{\\"city\\": \\"\\ud83d"',
        piece % b'"arguments":"\\ude00 \\ud83d\\"}"',
        chunk({}, "tool_calls"),
        DONE,
    )
    async with stand_in(split, called) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        assert text(await events(talk.reply(Ask(speak=False)))) == "Hi 😀. Oh \ufffd"
        got = await events(talk.reply(Ask(tools=TOOLS)))
        assert calls(got) == {0: ("weather", '{"city": "😀 \ufffd"}', True)}


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Answer(b'data: {"error":{"message":"oh \\ud83d"}}\n\n'), id="in the stream"),
        pytest.param(
            Answer(b'{"error":{"message":"oh \\ud83d"}}', status="400 No", kind="application/json"),
            id="refusal",
        ),
    ],
)
async def test_what_is_told_of_a_fault_is_text(bad: Answer) -> None:
    async with stand_in(bad) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        with pytest.raises(EngineFault, match="oh \ufffd"):
            await events(talk.reply(Ask()))


@pytest.mark.parametrize(
    ("prompt", "completion"), [(10**9, 2), (7, 10**9), (10**30, 10**30), (0, 2), (4097, 2), (7, 51)]
)
async def test_a_usage_beyond_what_can_be_is_estimated_and_logged_once(
    prompt: int, completion: int, caplog: pytest.LogCaptureFixture
) -> None:
    lie = Answer(*words("It is fine."), chunk({}, "stop"), usage(prompt, completion), DONE)
    async with stand_in(lie, lie) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        for _ in range(2):
            got = await events(talk.reply(Ask(max_tokens=50)))
            assert tokens(got) == 3
            assert 0 < [e for e in got if isinstance(e, Began)][-1].input["text"] < 200
    assert caplog.text.count("its usage is estimated here") == 1


async def test_no_more_tokens_than_were_allowed_are_counted() -> None:
    letters = Answer(*(chunk({"content": sign}) for sign in "A sentence."), chunk({}, "stop"))
    async with stand_in(letters) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        got = await events(talk.reply(Ask(max_tokens=5)))
    assert text(got) == "A sentence." and tokens(got) == 5


OTHERS = "Incorrect API key provided: sk-proj-OTHER99 at http://10.1.2.3:4000/internal, org-OTHER1"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(
            Answer(
                json.dumps({"error": {"message": OTHERS}}).encode(),
                status="500 Oops",
                kind="application/json",
            ),
            id="refusal",
        ),
        pytest.param(
            Answer(b"data: " + json.dumps({"error": {"message": OTHERS}}).encode() + b"\n\n"),
            id="in the stream",
        ),
    ],
)
async def test_secrets_that_are_not_ours_reach_neither_client_nor_log(
    bad: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    async with stand_in(bad) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        with pytest.raises(EngineFault, match="Incorrect API key provided: … at") as fault:
            await events(talk.reply(Ask()))
    for shown in (fault.value.message, caplog.text):
        assert "OTHER" not in shown and "10.1.2.3" not in shown


BOTH = (Tool("clock"), *TOOLS)


async def test_calls_that_were_not_asked_for_are_passed_over() -> None:
    def answer() -> Answer:
        made = (tool(0, "weather", "{}", id="a"), tool(1, "clock", "{}", id="b"))
        return Answer(*words("So."), *made, chunk({}, "tool_calls"), DONE)

    async with stand_in(*(answer() for _ in range(4))) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        got = await events(talk.reply(Ask(tools=BOTH)))
        assert calls(got) == {0: ("weather", "{}", True), 1: ("clock", "{}", True)}
        got = await events(talk.reply(Ask(tools=BOTH, parallel_calls=False)))
        assert calls(got) == {0: ("weather", "{}", True)} and tokens(got) == 5
        got = await events(talk.reply(Ask(tools=BOTH, tool_choice="function:clock")))
        assert calls(got) == {0: ("clock", "{}", True)}
        got = await events(talk.reply(Ask(tools=BOTH, tool_choice="none")))
        assert not calls(got) and text(got) == "So. "
    assert upstream.requests[1]["parallel_tool_calls"] is False


async def test_another_call_than_the_one_that_was_required_is_asked_for_as_json() -> None:
    other = Answer(tool(0, "clock", "{}", id="a"), chunk({}, "tool_calls"), DONE)
    call = Answer(*words('{"name": "weather", "arguments": {}}'), chunk({}, "stop"), DONE)
    async with stand_in(other, call) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Weather?"))
        got = await events(talk.reply(Ask(tools=BOTH, tool_choice="function:weather")))
    assert calls(got) == {0: ("weather", "{}", True)}
    assert "response_format" in upstream.requests[1]


def called(**call: object) -> bytes:
    return chunk({"tool_calls": [call]})


@pytest.mark.parametrize(
    ("pieces", "said", "made"),
    [
        ([*words("Fine."), chunk({}, "stop"), b'data: {"choices":null}\n\n'], "Fine. ", {}),
        (
            [*words("Fine."), b'data: {"choices":[{"delta":null,"finish_reason":"stop"}]}\n\n'],
            "Fine. ",
            {},
        ),
        ([chunk({"content": None, "refusal": "I cannot."}), chunk({}, "stop")], "I cannot.", {}),
        (
            [
                called(index=0, id="a", function={"name": "weather", "arguments": None}),
                called(index=0, function=None),
                chunk({}, "tool_calls"),
            ],
            "",
            {0: ("weather", "{}", True)},
        ),
        (
            [
                called(index=0, id="a", function={"name": "weather", "arguments": {"x": "é"}}),
                chunk({}, "tool_calls"),
            ],
            "",
            {0: ("weather", '{"x": "é"}', True)},
        ),
        (
            [
                called(index=0, id="a", function={"name": "weather", "arguments": '{"x"'}),
                called(index=0, id="b", function={"arguments": ": 1"}),
                called(id="c", function={"arguments": "}"}),
                called(function={"name": "weather", "arguments": "{}"}),
                chunk({}, "tool_calls"),
            ],
            "",
            {0: ("weather", '{"x": 1}', True), 1: ("weather", "{}", True)},
        ),
    ],
)
async def test_shapes_that_do_no_harm_are_read(
    pieces: list[bytes], said: str, made: dict[int, tuple[str, str, bool]]
) -> None:
    async with stand_in(Answer(*pieces, DONE)) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        got = await events(talk.reply(Ask(tools=TOOLS)))
    assert text(got) == said and calls(got) == made


async def test_an_answer_that_is_not_streamed_is_read_whole() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
    message = {"role": "assistant", "content": "All whole.", "tool_calls": [call]}
    whole = {
        "choices": [{"message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 5},
    }
    answer = Answer(json.dumps(whole).encode(), kind="application/json; charset=utf-8")
    async with stand_in(answer) as upstream, talking(upstream) as talk:
        talk.put(typed("u", "Go on."))
        got = await events(talk.reply(Ask(tools=TOOLS)))
    assert text(got) == "All whole." and calls(got) == {0: ("weather", "{}", True)}
    assert tokens(got) == 5
