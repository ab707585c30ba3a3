"""A voice on another server; that server is a stand-in."""

import io
import logging
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from duologue.engines.composed.parts import Word
from duologue.engines.remote.mouth import RemoteMouth
from duologue.errors import EngineFault
from duologue.remote.server import RemoteServer
from engines.remote.stand_in import KEY, Answer, StandIn, stand_in


def hum(seconds: float, rate_hz: int = 24_000) -> bytes:
    """Half a second of silence around a tone."""
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    tone = (np.sin(2 * np.pi * 200 * times) * 6000).astype("<i2").tobytes()
    return bytes(rate_hz) + tone + bytes(rate_hz)


def wav(pcm: bytes, rate_hz: int, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(channels)
        writer.setsampwidth(2)
        writer.setframerate(rate_hz)
        writer.writeframes(pcm)
    return file.getvalue()


@asynccontextmanager
async def speaking(
    upstream: StandIn, *voices: str, answer_s: float = 5.0
) -> AsyncIterator[RemoteMouth]:
    server = RemoteServer(upstream.url, "tts", "the voice's server", KEY, answer_s=answer_s)
    mouth = RemoteMouth(server, voices)
    yield mouth
    await mouth.aclose()


def seconds(words: list[Word]) -> float:
    return sum(len(word.pcm) for word in words) / 48_000


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param(hum(1.0), "audio/pcm", id="pcm"),
        pytest.param(wav(hum(1.0), 24_000), "audio/wav", id="wav"),
        pytest.param(wav(hum(1.0, 16_000), 16_000), "audio/wav", id="wav of another rate"),
    ],
)
async def test_a_clause_comes_as_words_without_the_silence_around_it(
    body: bytes, kind: str
) -> None:
    clause = "Hello there, my friend. "
    async with stand_in(Answer(body, kind=kind)) as upstream, speaking(upstream) as mouth:
        words = list(await mouth.speak(clause, voice="alloy", speed=1.5))
    assert [clause[: word.end] for word in words] == [
        "Hello",
        "Hello there,",
        "Hello there, my",
        clause,
    ]
    assert 1.1 < seconds(words) < 1.35  # the tone and a pause
    assert all(len(word.pcm) > 2000 for word in words)
    (asked,) = upstream.requests
    assert asked["input"] == clause.strip() and asked["speed"] == 1.5
    assert asked["response_format"] == "pcm" and asked["voice"] == "alloy"
    assert asked["model"] == "some-model"


async def test_a_voice_that_the_server_does_not_have_is_its_default() -> None:
    async with stand_in(Answer(hum(0.2), kind="audio/pcm")) as upstream:
        async with speaking(upstream, "af_heart", "af_sky") as mouth:
            assert list(mouth.voices) == ["af_heart", "af_sky"]
            await mouth.speak("Hi.", voice="alloy", speed=1.0)
    assert upstream.requests[0]["voice"] == "af_heart"


async def test_nothing_to_pronounce_asks_nobody() -> None:
    async with stand_in() as upstream, speaking(upstream) as mouth:
        assert await mouth.speak("... ", voice="", speed=1.0) == [Word(4, b"")]
    assert not upstream.requests


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"<html>", kind="text/html"), "text/html"),
        (Answer(kind="audio/pcm"), "without any sound"),
        (Answer(b"RIFF but no more", kind="audio/wav"), "a WAV file that is none"),
        (Answer(hum(0.1), kind="audio/pcm", cut=True), "broke off"),
        (
            Answer(b"{}", status="401 Unauthorized", kind="application/json"),
            "refused the key in tts_key",
        ),
        (Answer(b"ID3\x04 and so on", kind="audio/mpeg"), "answered MP3 where PCM or WAV"),
        (Answer(b"OggS and so on", kind="audio/ogg"), "answered Ogg where PCM or WAV"),
        (Answer(status="302 Found", headers="Location: http://127.0.0.1:1/\r\n"), "a redirect"),
        (Answer(b"{}", status="404 Not Found", kind="application/json"), "no such model"),
        (
            Answer(
                b'{"error":{"message":"no more for %s"}}' % KEY.encode(),
                status="429 Too Many Requests",
                kind="application/json",
            ),
            "over its quota .* no more for …",
        ),
        (Answer(b"", kind="audio/pcm", held=0), r"did not answer within 0\.3 s"),
        (
            Answer(b"", kind="audio/pcm", held=0, heartbeat_s=0.05, beat=b"\0"),
            r"did not answer within 0\.3 s",
        ),
    ],
)
async def test_a_fault_is_told_and_the_next_clause_is_spoken(
    answer: Answer, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "duologue")
    good = Answer(hum(0.2), kind="audio/pcm")
    answer_s = 5.0 if answer.held is None else 0.3
    async with stand_in(answer, good) as upstream, speaking(upstream, answer_s=answer_s) as mouth:
        with pytest.raises(EngineFault, match=reason):
            await mouth.speak("Hi.", voice="", speed=1.0)
        assert seconds(list(await mouth.speak("Hi.", voice="", speed=1.0))) > 0.2
    assert KEY not in caplog.text


async def test_an_absent_voice_is_told() -> None:
    async with stand_in() as upstream:
        pass
    async with speaking(upstream) as mouth:
        with pytest.raises(EngineFault, match="cannot be reached"):
            await mouth.speak("Hi.", voice="", speed=1.0)


async def test_a_connection_that_had_gone_stale_is_made_anew_once() -> None:
    def good() -> Answer:
        return Answer(hum(0.2), kind="audio/pcm")

    gone = Answer(gone=True)
    async with stand_in(good(), gone, good(), gone, gone) as upstream:
        async with speaking(upstream) as mouth:
            for _ in range(2):
                assert seconds(list(await mouth.speak("Hi.", voice="", speed=1.0))) > 0.2
            with pytest.raises(EngineFault, match="cannot be reached, or broke off"):
                await mouth.speak("Hi.", voice="", speed=1.0)
    assert len(upstream.requests) == 5
