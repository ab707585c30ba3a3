"""Transcription and translation over real sockets, with the official SDK as the client."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.types.realtime.realtime_translation_server_event import RealtimeTranslationServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import connect

from duologue.engines.scripted import tone
from live_server import KEY, Caller, call, http_get, scripted, serving, ws_url
from oracle import validate_server_event

SCRIPT = """
transcripts = ["How many ounces are in a pound?", "Stop."]
translations = ["Good day.", "How are you?"]
"""
SPEECH = tone(2000)
SILENCE = bytes(48 * 1500)
NAME = "conversation.item.input_audio_transcription"
TRANSLATION = TypeAdapter(RealtimeTranslationServerEvent)


def base64_of(pcm: bytes) -> str:
    return base64.b64encode(pcm).decode()


async def speak(client: Caller, pcm: bytes, kind: str = "input_audio_buffer.append") -> None:
    for start in range(0, len(pcm), 9_600):
        await client.send(kind, audio=base64_of(pcm[start : start + 9_600]))


async def until(client: Caller, kind: str) -> list[dict[str, Any]]:
    """Events up to the first of a type, each valid for the SDK."""
    events = []
    while not events or events[-1]["type"] != kind:
        text = await client.socket.recv()
        validate_server_event(text)
        events.append(json.loads(text))
    return events


@contextlib.asynccontextmanager
async def translating(
    base_url: str, query: str = "model=gpt-realtime-translate", key: str = KEY
) -> Any:
    url = ws_url(base_url, "") + "/translations?" + query
    headers = {"Authorization": f"Bearer {key}"}
    async with connect(url, additional_headers=headers, compression=None) as socket:
        yield Caller(socket)


@pytest.fixture
async def base_url() -> AsyncIterator[str]:
    async with serving(scripted(script=SCRIPT)) as url:
        yield url


@pytest.mark.conformance("C-179", "C-181", "C-099")
async def test_an_intent_is_enough_for_transcripts_of_what_is_said(base_url: str) -> None:
    async with call(base_url, "intent=transcription") as client:
        (created,) = await until(client, "session.created")
        assert created["session"]["object"] == "realtime.transcription_session"
        await speak(client, SPEECH + SILENCE)
        events = await until(client, f"{NAME}.completed")
        types = [event["type"] for event in events]
        order = [name for name in types if not name.endswith(".delta")]
        assert order == [
            "input_audio_buffer.speech_started",
            "input_audio_buffer.speech_stopped",
            "input_audio_buffer.committed",
            "conversation.item.added",
            "conversation.item.done",
            f"{NAME}.completed",
        ]
        told = "".join(event["delta"] for event in events if event["type"].endswith(".delta"))
        assert told == events[-1]["transcript"] == "How many ounces are in a pound?"
        assert events[-1]["usage"]["type"] == "duration"


@pytest.mark.conformance("C-180")
async def test_nobody_answers_in_a_transcription_session(base_url: str) -> None:
    async with call(base_url, "intent=transcription") as client:
        await client.next("session.created")
        await client.send("response.create", event_id="e1")
        error = (await client.receive())["error"]
        assert (error["code"], error["event_id"]) == ("invalid_value", "e1")
        change = {"type": "transcription", "instructions": "Be brief."}
        await client.send("session.update", session=change)
        error = (await client.receive())["error"]
        assert (error["code"], error["param"]) == ("unknown_parameter", "session.instructions")
        await client.send("session.update", session={"type": "transcription"})
        await until(client, "session.updated")


@pytest.mark.parametrize(
    ("query", "model"),
    [
        ("model=gpt-4o-transcribe", "gpt-4o-transcribe"),
        ("intent=transcription&model=whisper-1", "whisper-1"),
        ("intent=transcription&model=gpt-realtime", "gpt-4o-transcribe"),
    ],
)
async def test_the_model_of_the_connection_is_the_one_that_transcribes(
    base_url: str, query: str, model: str
) -> None:
    async with call(base_url, query) as client:
        created = await client.next("session.created")
        assert created["session"]["type"] == "transcription"
        assert created["session"]["audio"]["input"]["transcription"]["model"] == model


@pytest.mark.conformance("C-068", "C-102", "C-103")
async def test_log_probabilities_are_sent_where_included(base_url: str) -> None:
    async with call(base_url, "intent=transcription") as client:
        settings = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
        await client.send(
            "session.update",
            session={
                "type": "transcription",
                "audio": {"input": settings},
                "include": ["item.input_audio_transcription.logprobs"],
            },
        )
        await until(client, "session.updated")
        await speak(client, SPEECH)
        await client.send("input_audio_buffer.commit")
        completed = (await until(client, f"{NAME}.completed"))[-1]
        assert "".join(one["token"] for one in completed["logprobs"]) == completed["transcript"]
        await speak(client, SILENCE)
        await client.send("input_audio_buffer.commit")
        events = await until(client, f"{NAME}.completed")
        assert events[-1]["transcript"] == "" and events[-1]["logprobs"] == []
        assert f"{NAME}.delta" not in [event["type"] for event in events]


async def test_unknown_models_are_refused_or_taken_as_configured(base_url: str) -> None:
    change = {"type": "transcription", "audio": {"input": {"transcription": {"model": "x"}}}}
    async with call(base_url, "intent=transcription") as client:
        await client.next("session.created")
        await client.send("session.update", session=change)
        error = (await client.receive())["error"]
        assert error["param"] == "session.audio.input.transcription.model"
        assert "'whisper-1'" in error["message"]
    async with serving(scripted(unknown_model="lenient")) as lenient:
        async with call(lenient, "intent=transcription") as client:
            await client.send("session.update", session=change)
            await client.next("session.updated")


async def test_sessions_that_listen_take_no_place_of_a_conversation() -> None:
    config = scripted(script="places = 1", max_sessions=1, max_listening_sessions=2)
    async with serving(config) as base_url, contextlib.AsyncExitStack() as calls:
        for query in ("intent=transcription", "intent=transcription", "model=gpt-realtime"):
            client = await calls.enter_async_context(call(base_url, query))
            await client.next("session.created")
        last = await calls.enter_async_context(call(base_url, "intent=transcription"))
        assert (await last.receive())["error"]["code"] == "session_limit_reached"
        _, _, health = await http_get(base_url.removesuffix("/v1") + "/healthz")
        assert health["sessions"]["open"] == 1
        assert health["listening_sessions"] == {"open": 2, "max": 2}


@pytest.mark.conformance("C-183", "C-184", "C-185", "C-186")
async def test_the_sdk_translates_speech(base_url: str) -> None:
    client = AsyncOpenAI(api_key=KEY, base_url=base_url)
    async with (
        client,
        client.realtime.translations.connect(model="gpt-realtime-translate") as connection,
    ):
        created = await connection.recv()
        assert created.type == "session.created" and created.session.type == "translation"
        assert created.session.expires_at > 1_700_000_000
        await connection.session.update(
            session={
                "audio": {
                    "input": {"transcription": {"model": "whisper-1"}},
                    "output": {"language": "en"},
                }
            }
        )
        updated = await connection.recv()
        assert updated.type == "session.updated"
        for pcm in (SPEECH, SILENCE, SPEECH):
            for start in range(0, len(pcm), 7_001):  # chunks of any size, samples split
                chunk = base64_of(pcm[start : start + 7_001])
                await connection.session.input_audio_buffer.append(audio=chunk)
        await connection.session.close()
        events = [event async for event in connection]
    for event in [created, updated, *events]:
        TRANSLATION.validate_python(event.model_dump(exclude_unset=True), strict=True)
    assert events[-1].type == "session.closed"
    said = [e.delta for e in events if e.type == "session.output_transcript.delta"]
    assert "".join(said) == "Good day. How are you?"
    heard = [e.delta for e in events if e.type == "session.input_transcript.delta"]
    assert "".join(heard) == "How many ounces are in a pound? Stop."
    sound = [e for e in events if e.type == "session.output_audio.delta"]
    assert sum(len(base64.b64decode(e.delta)) for e in sound) == 5 * 240 * 48
    assert {(e.sample_rate, e.channels, e.format) for e in sound} == {(24_000, 1, "pcm16")}


@pytest.mark.conformance("C-186")
async def test_a_closed_translation_ends_with_1000(base_url: str) -> None:
    async with translating(base_url) as client:
        await client.next("session.created")
        await client.send("session.close")
        assert (await client.receive())["type"] == "session.closed"
        assert await client.closed() == (1000, "")


@pytest.mark.conformance("C-188")
async def test_events_of_a_conversation_are_refused_and_the_socket_lives(base_url: str) -> None:
    async with translating(base_url) as client:
        await client.next("session.created")
        for kind in ("response.create", "input_audio_buffer.commit", "conversation.item.create"):
            await client.send(kind, event_id="e1")
            error = (await client.receive())["error"]
            assert (error["code"], error["param"], error["event_id"]) == (
                "invalid_value",
                "type",
                "e1",
            )
        await client.send("session.update", session={"audio": {"output": {"language": "en"}}})
        assert (await client.receive())["type"] == "session.updated"


@pytest.mark.conformance("C-183")
@pytest.mark.parametrize(
    ("query", "code"), [("", "missing_model"), ("model=gpt-4o", "invalid_model")]
)
async def test_a_translation_needs_a_model_that_translates(
    base_url: str, query: str, code: str
) -> None:
    async with translating(base_url, query) as client:
        assert (await client.receive())["error"]["code"] == code
        assert await client.closed() == (4000, f"invalid_request_error.{code}")


@pytest.mark.conformance("C-187")
async def test_other_languages_than_english_are_refused_by_name(base_url: str) -> None:
    async with translating(base_url) as client:
        await client.next("session.created")
        await client.send("session.update", session={"audio": {"output": {"language": "fr"}}})
        error = (await client.receive())["error"]
        assert error["param"] == "session.audio.output.language" and "'en'" in error["message"]
        await client.send("session.update", session={"type": "realtime"})
        assert (await client.receive())["error"]["param"] == "session.type"


@pytest.mark.conformance("C-023", "C-024")
async def test_client_secrets_open_the_kind_of_session_they_are_bound_to(base_url: str) -> None:
    sdk = AsyncOpenAI(api_key=KEY, base_url=base_url)
    async with sdk:
        settings: Any = {"transcription": {"model": "whisper-1"}, "turn_detection": None}
        secret = await sdk.realtime.client_secrets.create(
            session={"type": "transcription", "audio": {"input": settings}}
        )
        translation = await sdk.realtime.translations.client_secrets.create(
            session={"model": "gpt-realtime-translate", "audio": {"output": {"language": "en-GB"}}}
        )
    async with call(base_url, "", key=secret.value) as client:
        session = (await client.next("session.created"))["session"]
        assert session["type"] == "transcription"
        assert session["audio"]["input"]["transcription"]["model"] == "whisper-1"
        assert session["audio"]["input"]["turn_detection"] is None
    async with translating(base_url, "", key=translation.value) as client:
        session = (await client.next("session.created"))["session"]
        assert session["model"] == "gpt-realtime-translate"
        assert session["audio"]["output"]["language"] == "en-GB"
    async with translating(base_url, key=secret.value) as client:
        error = (await client.receive())["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "session.type")
    async with call(base_url, key=translation.value) as client:
        error = (await client.receive())["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "session.type")


async def test_a_listening_session_leaves_nothing_behind(base_url: str) -> None:
    async with translating(base_url) as client, call(base_url, "intent=transcription") as other:
        await speak(client, SPEECH, "session.input_audio_buffer.append")
        await speak(other, SPEECH)
    async with asyncio.timeout(5):
        while True:
            _, _, health = await http_get(base_url.removesuffix("/v1") + "/healthz")
            if health["listening_sessions"]["open"] == 0:
                break
