"""Upstreams that fail: every one fails the reply in words, and the talk goes on."""

import asyncio
import http
import logging
import socket
import ssl
from typing import Any

import pytest
import trustme
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from duologue.core.talk import Done, Say
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.upstream import Upstream
from duologue.errors import EngineBusy, EngineFault
from engines.realtime.test_hearing import COMPLETED, read, turn
from engines.realtime.upstream_kit import (
    KEY,
    LOOK,
    SPEAK,
    Peer,
    engine,
    fault_of,
    said,
    said_next,
    standing_in,
    whole,
)


async def fails(address: str, **options: Any) -> EngineFault:
    async with engine(address, **options) as upstream:
        talk = await upstream.open(SPEAK)
        talk.put(said("Hello"))
        return await fault_of(talk.reply(SPEAK))


async def listen(peer: Peer) -> None:
    await peer.socket.wait_closed()


def answering(status: int, body: str, **headers: str) -> Any:
    def process(connection: ServerConnection, request: Request) -> Response:
        response = connection.respond(http.HTTPStatus(status), body)
        for name, value in headers.items():
            response.headers[name] = value
        return response

    return process


async def test_an_upstream_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    fault = await fails(f"ws://127.0.0.1:{port}/v1/realtime")
    assert fault.message == "The upstream cannot be reached."


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "invalid_api_key", "does not accept the key"),
        (403, "insufficient_permissions", "does not let"),
        (404, "not_found", "no Realtime endpoint"),
        (500, "engine_error", "status 500"),
        (200, "engine_error", "does not speak the Realtime protocol"),
    ],
)
async def test_an_upstream_that_answers_with_a_page(status: int, code: str, words: str) -> None:
    page = answering(status, f"<html>{KEY}</html>")
    async with standing_in(listen, process_request=page) as address:
        fault = await fails(address)
    assert fault.code == code and words in fault.message and KEY not in fault.message


async def test_an_upstream_over_its_limits_is_told_at_the_door() -> None:
    async with standing_in(listen, process_request=answering(429, "")) as address:
        async with engine(address) as upstream:
            with pytest.raises(EngineBusy, match="over its limits"):
                await upstream.open(SPEAK)


async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere() -> None:
    visits: list[Request] = []

    def note(connection: ServerConnection, request: Request) -> None:
        visits.append(request)

    async with standing_in(listen, process_request=note) as elsewhere:
        away = answering(307, "", Location=elsewhere)
        async with standing_in(listen, process_request=away) as address:
            fault = await fails(address)
    assert "redirects" in fault.message and not visits


async def test_a_certificate_that_nobody_vouches_for() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with standing_in(listen, ssl=context) as address:
        url = address.replace("ws://127.0.0.1", "wss://localhost")
        fault = await fails(url)
    assert "certificate" in fault.message


async def test_a_server_that_says_nothing_at_the_upgrade() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(mute, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        fault = await fails(f"ws://127.0.0.1:{port}/v1/realtime", connect_s=0.1)
    assert fault.message == "The upstream does not answer in time."


async def test_a_server_that_is_no_web_server() -> None:
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(shout, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        fault = await fails(f"ws://127.0.0.1:{port}/v1/realtime")
    assert fault.message == "The upstream does not answer as a WebSocket."


async def test_an_upstream_that_never_answers_a_reply() -> None:
    async with standing_in(listen) as address:
        fault = await fails(address, silence_s=0.1)
    assert fault.message == "The upstream has said nothing for 0.1 seconds."


@pytest.mark.parametrize("frame", ["<html>", "[1, 2]", "17", '{"type": 3}', '{"no": "type"}'])
async def test_frames_that_are_no_events_end_the_upstream_session(frame: str) -> None:
    async def babble(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.socket.send(frame)
        await peer.socket.wait_closed()

    async with standing_in(babble) as address:
        fault = await fails(address)
    assert fault.message.startswith("The upstream sent something that is no")


async def test_unknown_events_and_missing_fields_are_let_be() -> None:
    async def chat(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("rate_limits.updated", rate_limits=3)
        await peer.send("vendor.telemetry", item="not an object", delta=[])
        await peer.send("response.created")
        await peer.send("response.output_text.delta", delta="Hello")
        await peer.send("response.done")
        await peer.socket.wait_closed()

    async with standing_in(chat) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        events = [event async for event in talk.reply(SPEAK)]
    assert [type(event).__name__ for event in events] == ["Began", "Say", "Done"]


async def test_an_upstream_that_hangs_up_within_a_sentence_and_is_there_for_the_next() -> None:
    sessions: list[Peer] = []

    async def drop(peer: Peer) -> None:
        sessions.append(peer)
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.output_text.delta", response_id="resp_1", delta="It is")
        if len(sessions) == 1:
            await peer.socket.close(1011, f"broke near {KEY}")
            return
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        await peer.socket.wait_closed()

    async with standing_in(drop) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        talk.put(said("Hello"))
        reply = talk.reply(SPEAK)
        assert await said_next(reply) == Say("It is", tokens=1)
        with pytest.raises(EngineFault) as caught:
            await anext(reply)
        assert KEY not in caught.value.message
        assert "closed the session (1011" in caught.value.message
        assert len([event async for event in talk.reply(SPEAK)]) == 3
    texts = [e["item"]["content"] for e in sessions[1].seen if e["type"].endswith("item.create")]
    assert texts == [[{"type": "input_text", "text": "Hello"}]]


@pytest.mark.parametrize("names_it", [True, False])
async def test_a_refused_reply_fails_with_the_words_of_the_upstream(names_it: bool) -> None:
    async def refuse(peer: Peer) -> None:
        asked = await peer.next("response.create")
        error = {"code": "invalid_model", "message": f"No such model for {KEY} or sk-other-1."}
        named = {"event_id": asked["event_id"]} if names_it else {}
        await peer.send("error", error={**error, **named})
        await peer.socket.wait_closed()

    async with standing_in(refuse) as address:
        fault = await fails(address)
    assert fault.code == "invalid_model"
    assert fault.message == "The upstream refuses: No such model for … or …"


async def test_a_refused_item_fails_the_reply_to_it_and_no_other() -> None:
    async def refuse(peer: Peer) -> None:
        item = await peer.next("conversation.item.create")
        first = await peer.next("response.create")
        error = {"code": "unsupported_content_type", "message": "No images here."}
        await peer.send("error", error={**error, "event_id": item["event_id"]})
        await peer.send(
            "response.created", response={"id": "resp_1", "metadata": first["response"]["metadata"]}
        )
        await peer.next("response.cancel")
        cancelled = {"id": "resp_1", "status": "cancelled"}
        await peer.send("response.done", response=cancelled)
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_2"})
        await peer.send("response.done", response={"id": "resp_2", "status": "completed"})
        await peer.socket.wait_closed()

    async with standing_in(refuse) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        talk.put(said("Look"))
        fault = await fault_of(talk.reply(SPEAK))
        assert (fault.code, fault.message) == (
            "unsupported_content_type",
            "The upstream refuses: No images here.",
        )
        assert [event async for event in talk.reply(SPEAK)]


async def test_an_upstream_without_room_is_told_at_the_door() -> None:
    async def full(peer: Peer) -> None:
        await peer.send("error", error={"code": "session_limit_reached", "message": "All taken."})
        await peer.socket.close(1013, "full")

    async with standing_in(full, greets=False) as address, engine(address) as upstream:
        with pytest.raises(EngineBusy, match="All taken"):
            await upstream.open(SPEAK)


async def test_why_a_session_ended_is_what_the_upstream_said_before_it_closed() -> None:
    async def expire(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("error", error={"code": "session_expired", "message": "An hour is over."})
        await peer.socket.close(1001)

    async with standing_in(expire) as address:
        fault = await fails(address)
    assert (fault.code, fault.message) == (
        "session_expired",
        "The upstream refuses: An hour is over.",
    )


async def test_no_log_shows_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def leak(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("error", error={"message": f"bad {KEY}"})
        await peer.send("error", error={"message": f"bad {KEY}"})
        await peer.socket.close(1008, KEY)

    async with standing_in(leak) as address:
        await fails(address)
    ours = [r for r in caplog.records if not r.name.startswith("websockets.server")]
    assert ours and not any(KEY in record.getMessage() for record in ours)


async def test_settings_that_are_refused_are_said_again_by_the_reply() -> None:
    async def refuse(peer: Peer) -> None:
        update = await peer.next("session.update")
        error = {"message": "No such voice.", "event_id": update["event_id"]}
        await peer.send("error", error=error)
        first = await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.done", response={"id": "resp_1"})
        asked = await peer.next("response.create")
        assert "audio" not in first["response"]
        assert asked["response"]["audio"]["output"]["voice"] == SPEAK.voice
        error = {"message": "No such voice.", "event_id": asked["event_id"]}
        await peer.send("error", error=error)
        await peer.socket.wait_closed()

    async with standing_in(refuse) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        assert [event async for event in talk.reply(SPEAK)][1:] == [Done()]
        fault = await fault_of(talk.reply(SPEAK))
    assert fault.message == "The upstream refuses: No such voice."


@pytest.mark.parametrize("shape", [{"type": "audio/opus"}, {"type": "audio/pcm", "rate": 16001}])
async def test_sound_in_another_format_is_not_taken_for_ours(shape: dict[str, Any]) -> None:
    async def speak(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("session.updated", session={"audio": {"output": {"format": shape}}})
        await peer.socket.wait_closed()

    async with standing_in(speak) as address:
        fault = await fails(address)
    assert fault.message.startswith(f"The upstream speaks {shape['type']} at ")


async def test_where_there_are_several_a_talk_goes_on_to_one_that_is_there() -> None:
    async def answer(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.done", response={"id": "resp_1"})
        await peer.socket.wait_closed()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        away = Upstream(f"ws://127.0.0.1:{free.getsockname()[1]}/v1/realtime", KEY)
    async with standing_in(answer) as address:
        both = RealtimeEngine([away, Upstream(address, KEY)])
        talk = await both.open(SPEAK)
        assert [event async for event in talk.reply(SPEAK)][1:] == [Done()]
        await both.aclose()


@pytest.mark.parametrize("tokens", [10**9, 10**30])
async def test_a_usage_that_cannot_be_is_estimated_and_told_to_the_log_once(
    tokens: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def boast(peer: Peer) -> None:
        for number in range(2):
            await peer.next("response.create")
            response = {"id": f"resp_{number}"}
            await peer.send("response.created", response=response)
            await peer.send("response.output_text.delta", response_id=response["id"], delta="Well")
            usage = {"input_tokens": 5, "output_tokens": tokens}
            await peer.send("response.done", response={**response, "usage": usage})
        await peer.socket.wait_closed()

    async with standing_in(boast) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        talk.put(said("Hello"))
        for _ in range(2):
            events = [event async for event in talk.reply(SPEAK)]
            assert [type(event).__name__ for event in events] == ["Began", "Say", "Done"]
            assert events[-1] == Done()
    assert caplog.text.count("its usage is estimated") == 1


async def test_what_looks_like_anybodys_key_is_told_to_no_client_and_no_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def leak(peer: Peer) -> None:
        asked = await peer.next("response.create")
        message = "hf_OTHERSECRETxx, Bearer abcdSECRET at http://10.0.0.7:9/v1?key=SECRET"
        error = {"message": message, "event_id": asked["event_id"]}
        await peer.send("error", error=error)
        await peer.next("response.create")
        await peer.socket.close(1008, message)

    async with standing_in(leak) as address, engine(address) as upstream:
        talk = await upstream.open(SPEAK)
        for _ in range(2):
            fault = await fault_of(talk.reply(SPEAK))
            assert "SECRET" not in fault.message and "10.0.0.7" not in fault.message
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith("websockets")]
    assert ours and not any("SECRET" in line or "10.0.0.7" in line for line in ours)


async def test_arguments_nested_without_end_fail_the_reply_and_no_other() -> None:
    async def call(peer: Peer) -> None:
        for number, arguments in enumerate(('{"a":' + "[" * 3000, "{}")):
            response_id, name = f"resp_{number}", f"item_{number}"
            made = {"id": name, "type": "function_call", "name": "look", "status": "completed"}
            item = {**made, "arguments": arguments}
            await peer.next("response.create")
            await peer.send("response.created", response={"id": response_id})
            await peer.send("response.output_item.done", response_id=response_id, item=item)
            await peer.send("response.done", response={"id": response_id, "status": "completed"})
        await peer.socket.wait_closed()

    async with standing_in(call) as address, engine(address) as upstream:
        talk = await upstream.open(LOOK)
        fault = await fault_of(talk.reply(LOOK))
        assert "arguments that are no JSON object" in fault.message
        await whole(talk.reply(LOOK))


@pytest.mark.parametrize("ends", [False, True])
async def test_a_refusal_is_forgotten_with_its_item_and_with_its_session(ends: bool) -> None:
    sessions: list[Peer] = []
    transcripts = Transcripts()

    async def refuse(peer: Peer) -> None:
        sessions.append(peer)
        if len(sessions) == 1:
            item = await peer.next("conversation.item.create")
            error = {"message": "No images here.", "event_id": item["event_id"]}
            await peer.send("error", error=error)
            await peer.next("conversation.item.create")
            if ends:
                return
            await peer.send(COMPLETED, item_id="sign", content_index=0, transcript="")
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        await peer.socket.wait_closed()

    async with standing_in(refuse) as address:
        async with engine(address, transcripts=transcripts) as upstream:
            talk = await upstream.open(SPEAK)
            talk.put(said("Look", "image"))
            talk.put(turn("sign"))
            if ends:
                with pytest.raises(EngineFault):
                    await read(transcripts, "sign")
            else:
                await read(transcripts, "sign")  # the refusal came before
                talk.drop("image")
            await whole(talk.reply(SPEAK))
    assert len(sessions) == 1 + ends


async def test_a_voice_sample_is_told_again_until_it_was_not_refused() -> None:
    told: asyncio.Queue[bool] = asyncio.Queue()
    transcripts = Transcripts()

    async def refuse(peer: Peer) -> None:
        await peer.next("conversation.item.create")
        first = next(event for event in peer.seen if event["type"] == "session.update")
        told.put_nowait("ref_audio" in first["session"])
        error = {"message": "No such voice.", "event_id": first["event_id"]}
        await peer.send("error", error=error)
        await peer.send(COMPLETED, item_id="sign", content_index=0, transcript="")
        for _ in range(2):
            update = await peer.next("session.update")
            told.put_nowait("ref_audio" in update["session"])
        await peer.socket.wait_closed()

    opening = {"ref_audio": "data:audio/wav;base64,AAAA"}
    async with standing_in(refuse) as address:
        async with engine(address, transcripts=transcripts, opening=opening) as upstream:
            talk = await upstream.open(SPEAK)
            talk.put(turn("sign"))
            await read(transcripts, "sign")  # the refusal came before
            talk.configure(SPEAK)
            talk.configure(LOOK)
            assert [await told.get() for _ in range(3)] == [True, True, False]
