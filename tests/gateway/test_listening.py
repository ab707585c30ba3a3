"""Transcription and translation over real sockets, with the official SDK as the client.

Not through the chain of two: a server whose engine is another has no translation, and without ears
of its own no transcription sessions, which is what its client is told.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from openai.types.realtime.realtime_translation_server_event import RealtimeTranslationServerEvent
from pydantic import TypeAdapter
from websockets.asyncio.client import connect

from beta_oracle import validate_beta_event
from duologue.audio import g711
from duologue.engines.scripted import tone
from live_server import (
    KEY,
    Caller,
    call,
    chained,
    http_get,
    http_post,
    scripted,
    serving,
    ws_url,
)
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
        await client.append(SPEECH + SILENCE)
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
        await client.append(SPEECH)
        await client.send("input_audio_buffer.commit")
        completed = (await until(client, f"{NAME}.completed"))[-1]
        assert "".join(one["token"] for one in completed["logprobs"]) == completed["transcript"]
        await client.append(SILENCE)
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
@pytest.mark.client("openai Python", "translation")
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
        await client.append(SPEECH, "session.input_audio_buffer.append")
        await other.append(SPEECH)
    async with asyncio.timeout(5):
        while True:
            _, _, health = await http_get(base_url.removesuffix("/v1") + "/healthz")
            if health["listening_sessions"]["open"] == 0:
                break


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
async def test_telephone_sound_is_written_down(base_url: str, law: g711.Law) -> None:
    async with call(base_url, "intent=transcription") as client:
        await client.next("session.created")
        wanted = {"format": {"type": f"audio/{law}"}}
        await client.send(
            "session.update", session={"type": "transcription", "audio": {"input": wanted}}
        )
        (updated,) = await until(client, "session.updated")
        assert updated["session"]["audio"]["input"]["format"] == wanted["format"]
        await client.append(g711.encode(SPEECH + SILENCE, law))
        events = await until(client, f"{NAME}.completed")
        assert events[-1]["transcript"] == "How many ounces are in a pound?"
        # 2 s of speech, 400 ms of silence and what a window adds
        assert 2.4 <= events[-1]["usage"]["seconds"] < 2.5
        await client.send("conversation.item.retrieve", item_id=events[-1]["item_id"])
        item = (await until(client, "conversation.item.retrieved"))[-1]["item"]
        sound = base64.b64decode(item["content"][0]["audio"])
        assert len(sound) == pytest.approx(8_000 * events[-1]["usage"]["seconds"], abs=16)


async def test_what_is_transcribed_is_cleaned_first(base_url: str) -> None:
    hiss = np.random.default_rng(3).normal(0, 1000, 48_000).astype(np.int16).tobytes()
    kept = []
    async with call(base_url, "intent=transcription") as client:
        await client.next("session.created")
        for cleaning in (None, {"type": "near_field"}):
            wanted = {"turn_detection": None, "noise_reduction": cleaning}
            await client.send(
                "session.update", session={"type": "transcription", "audio": {"input": wanted}}
            )
            await until(client, "session.updated")
            await client.append(hiss)
            await client.send("input_audio_buffer.commit")
            item_id = (await until(client, "conversation.item.done"))[-1]["item"]["id"]
            await client.send("conversation.item.retrieve", item_id=item_id)
            item = (await until(client, "conversation.item.retrieved"))[-1]["item"]
            kept.append(np.frombuffer(base64.b64decode(item["content"][0]["audio"]), np.int16))
    assert kept[0].tobytes() == hiss and len(kept[1]) == len(kept[0])
    assert kept[1][24_000:].std() < 0.35 * kept[0][24_000:].std()


async def test_what_is_translated_is_cleaned_first(base_url: str) -> None:
    """A hiss that is loud enough for speech leaves nothing to translate once it is cleaned."""
    hiss = np.random.default_rng(3).normal(0, 1000, 96_000).astype(np.int16).tobytes()
    translated = []
    for cleaning in (None, {"type": "near_field"}):
        async with translating(base_url) as client:
            await client.next("session.created")
            wanted = {"audio": {"input": {"noise_reduction": cleaning}}}
            await client.send("session.update", session=wanted)
            await client.next("session.updated")
            # What comes before the network knows the noise is too short to be speech.
            for start in range(0, len(hiss), 9_600):
                sound = base64_of(hiss[start : start + 9_600])
                await client.send("session.input_audio_buffer.append", audio=sound)
            await client.send("session.close")
            kinds = []
            while not kinds or kinds[-1] != "session.closed":
                kinds.append((await client.receive())["type"])
            translated.append("session.output_transcript.delta" in kinds)
    assert translated == [True, False]


@pytest.mark.conformance("C-204")
async def test_a_beta_client_is_told_of_its_transcription_session_in_its_own_words(
    base_url: str,
) -> None:
    headers = {"OpenAI-Beta": "realtime=v1"}
    async with call(base_url, "intent=transcription", headers=headers) as client:
        created = await client.receive()
        assert created["type"] == "transcription_session.created"
        session = {
            "input_audio_format": "pcm16",
            "input_audio_transcription": {"model": "whisper-1", "language": "en"},
            "turn_detection": None,
        }
        await client.send("transcription_session.update", session=session)
        updated = await client.receive()  # no `conversation.created` came in between
        assert updated["type"] == "transcription_session.updated"
        assert updated["session"]["input_audio_transcription"]["model"] == "whisper-1"
        assert updated["session"]["turn_detection"] is None
        for event in (created, updated):
            validate_beta_event(json.dumps(event))
        await client.append(SPEECH)
        await client.send("input_audio_buffer.commit")
        completed = await client.next(f"{NAME}.completed")
        assert completed["transcript"] == "How many ounces are in a pound?"


async def test_only_a_conversation_can_be_come_back_to(base_url: str) -> None:
    ask = "duologue_resume=1"
    async with call(base_url, f"intent=transcription&{ask}") as client:
        assert "duologue" not in (await client.next("session.created"))["session"]
    async with translating(base_url, f"model=gpt-realtime-translate&{ask}") as client:
        assert "duologue" not in (await client.next("session.created"))["session"]
    async with call(base_url, f"model=gpt-realtime&{ask}") as client:
        created = await client.next("session.created")
        token = created["session"]["duologue"]["resume"]["token"]
        query = f"intent=transcription&duologue_resume={token}"
        async with call(base_url, query) as other:
            assert (await other.receive())["error"]["code"] == "resume_token_invalid"
        async with call(base_url, f"model=gpt-realtime&duologue_resume={token}") as back:
            assert (await back.next("session.created"))["session"]["id"] == created["session"]["id"]


@pytest.mark.parametrize("query", ["intent=transcription", "model=whisper-1"])
async def test_a_server_without_ears_says_so_at_its_door(query: str) -> None:
    async with chained(scripted()) as base_url:
        async with call(base_url, query) as client:
            error = (await client.receive())["error"]
            assert error["code"] == "invalid_model" and "no ears" in error["message"]
            assert await client.closed() == (4000, "invalid_request_error.invalid_model")
        body = {"session": {"type": "transcription"}}
        status, _, refused = await http_post(base_url + "/realtime/client_secrets", body)
        assert (status, refused["error"]["code"]) == (400, "invalid_model")
        async with call(base_url) as client:
            await client.next("session.created")
