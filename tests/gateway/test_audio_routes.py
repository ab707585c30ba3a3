"""The ear and the voice alone, asked by the stock `openai` SDK."""

import dataclasses
import io
import wave
from contextlib import AbstractAsyncContextManager

import pytest
from openai import APIStatusError, AsyncOpenAI, AuthenticationError, BadRequestError, NotFoundError

from duologue.config import ServerConfig
from duologue.engines.remote.mouth import RemoteMouth
from duologue.engines.scripted import tone
from duologue.errors import EngineFault
from duologue.gateway.compose import Parts, compose
from duologue.hearing.ear import WhisperEar
from duologue.hearing.remote import RemoteSpeech
from duologue.remote.server import RemoteServer
from engines.composed.parts_kit import MS_PER_CHAR, ScriptedMouth
from live_server import KEY, http_post, scripted, serving

SCRIPT = 'transcripts = ["It rains.", "It pours."]'


def wav(pcm: bytes, rate_hz: int = 24_000) -> tuple[str, bytes, str]:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return "speech.wav", file.getvalue(), "audio/wav"


async def test_a_sound_file_is_written_down_as_json_or_text() -> None:
    async with serving(scripted(script=SCRIPT)) as base_url:
        async with AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
            create = client.audio.transcriptions.create
            first = await create(model="whisper-1", file=wav(tone(500)), language="en")
            assert first.text == "It rains."
            second = await create(
                model="gpt-4o-transcribe", file=wav(tone(500), 48_000), response_format="text"
            )
            assert second == "It pours.\n"


async def test_what_cannot_be_written_down_is_refused_with_the_field() -> None:
    async with serving(scripted()) as base_url:
        async with AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
            create = client.audio.transcriptions.create
            with pytest.raises(BadRequestError, match="no sound file") as fault:
                await create(model="whisper-1", file=("a.wav", b"nonsense", "audio/wav"))
            assert fault.value.param == "file"
            with pytest.raises(BadRequestError, match="'whisper-1'") as fault:
                await create(model="nobody", file=wav(tone(100)))
            assert fault.value.param == "model"
            with pytest.raises(BadRequestError, match="'json', 'text'"):
                await create(model="whisper-1", file=wav(tone(100)), response_format="srt")
            with pytest.raises(APIStatusError, match="longer than") as large:
                await create(model="whisper-1", file=wav(bytes(26 * 1024 * 1024)))
            assert large.value.status_code == 413
        status, _, body = await http_post(f"{base_url}/audio/transcriptions", {})
        assert (status, body["error"]["code"]) == (415, "unsupported_media_type")


async def test_both_routes_ask_for_a_key() -> None:
    async with serving(scripted()) as base_url:
        async with AsyncOpenAI(api_key="sk-wrong", base_url=base_url) as client:
            with pytest.raises(AuthenticationError):
                await client.audio.transcriptions.create(model="whisper-1", file=wav(tone(100)))
            with pytest.raises(AuthenticationError):
                await client.audio.speech.create(model="tts-1", voice="alloy", input="Hi.")


async def test_an_engine_without_a_voice_of_its_own_says_so() -> None:
    async with serving(scripted()) as base_url:
        async with AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
            with pytest.raises(NotFoundError, match="no voice of its own"):
                await client.audio.speech.create(model="tts-1", voice="alloy", input="Hi.")


def speaking(mouth: ScriptedMouth) -> AbstractAsyncContextManager[str]:
    """A server with this voice, which otherwise needs no weights."""

    async def with_a_voice(config: ServerConfig) -> Parts:
        return dataclasses.replace(await compose(config), mouth=mouth)

    return serving(scripted(), make_parts=with_a_voice)


TEXT = "Well, good morning to you all. It is a fine day for a walk in the park, is it not?"


async def test_a_text_is_spoken_clause_by_clause_as_pcm_or_wav() -> None:
    mouth = ScriptedMouth()
    async with speaking(mouth) as base_url:
        async with AsyncOpenAI(api_key=KEY, base_url=base_url) as client:
            create = client.audio.speech.create
            pcm = await create(model="any", voice="alloy", input=TEXT, response_format="pcm")
            assert len(pcm.content) == 48 * MS_PER_CHAR * len(TEXT)
            assert pcm.response.headers["content-type"] == "audio/pcm"
            assert len(mouth.clauses) > 1 and "".join(mouth.clauses) == TEXT
            whole = await create(model="any", voice="plain", input=TEXT, response_format="wav")
            assert whole.content[:4] == b"RIFF" and whole.content[44:] == pcm.content
            with pytest.raises(BadRequestError, match="'plain'") as fault:
                await create(model="any", voice="nobody", input=TEXT)
            assert fault.value.param == "voice"
            with pytest.raises(BadRequestError) as fault:
                await create(model="any", voice="plain", input=TEXT, response_format="flac")
            assert fault.value.param == "response_format"
            mouth.fault = EngineFault("The voice failed.")
            with pytest.raises(APIStatusError, match="The voice failed") as failed:
                await client.with_options(max_retries=0).audio.speech.create(
                    model="any", voice="plain", input=TEXT
                )
            assert failed.value.status_code == 503


async def test_one_server_is_the_mouth_of_another() -> None:
    mouth = ScriptedMouth()
    async with speaking(mouth) as base_url:
        remote = RemoteMouth(RemoteServer(f"{base_url}#any", "tts", "the voice", KEY), ["plain"])
        words = await remote.speak("Good morning to you. ", voice="plain", speed=1.0)
        await remote.aclose()
        assert mouth.clauses == ["Good morning to you."]
    assert [word.end for word in words] == [4, 12, 15, 21]
    # The scripted voice is a quiet hum, which is silence to the ear: the pause alone is left.
    assert sum(len(word.pcm) for word in words) >= 280 * 48


async def test_one_server_is_the_ear_of_another() -> None:
    async with serving(scripted(script=SCRIPT)) as base_url:
        speech = RemoteSpeech(RemoteServer(f"{base_url}#whisper-1", "stt", "the ear", KEY))
        ear = WhisperEar(speech)
        assert (await ear.transcribe("u", tone(500))).text == "It rains."
        assert (await ear.transcribe("v", tone(500))).text == "It pours."
        await ear.aclose()
        await speech.aclose()
