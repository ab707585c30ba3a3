"""An ear whose model is on another server; that server is a stand-in."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import pytest

from duologue.core.talk import Transcript, TranscriptionAsk
from duologue.errors import EngineFault
from duologue.hearing.ear import WhisperEar
from duologue.hearing.remote import RemoteSpeech
from duologue.hearing.transcriber import WhisperTranscriber
from duologue.hearing.whisper import Hearing
from duologue.remote.server import RemoteServer
from engines.remote.stand_in import KEY, Answer, StandIn, stand_in

SPEECH = (np.sin(np.arange(24_000) / 20) * 6000).astype("<i2").tobytes()


def heard(text: str) -> Answer:
    return Answer(f'{{"text": " {text}"}}'.encode(), kind="application/json")


@asynccontextmanager
async def listening(upstream: StandIn, answer_s: float = 5.0) -> AsyncIterator[WhisperEar]:
    server = RemoteServer(upstream.url, "stt", "the recognition server", KEY, answer_s=answer_s)
    speech = RemoteSpeech(server)
    ear = WhisperEar(speech, workers=2)
    yield ear
    await ear.aclose()
    await speech.aclose()


async def test_sound_is_sent_as_a_recording_and_its_words_come_back() -> None:
    async with stand_in(heard("Hello there.")) as upstream, listening(upstream) as ear:
        transcript = await ear.transcribe("u", SPEECH, language="de", prompt="Names: Ada.")
        assert transcript == Transcript("Hello there.", 1.0, "de")
        assert await ear.transcribe("u", SPEECH, language="de", prompt="Names: Ada.") == transcript
    (request,) = upstream.requests
    form = request["form"]
    assert b"some-model" in form and b"Names: Ada." in form and b"\r\n\r\nde\r\n" in form
    assert b"RIFF" in form and form.index(b"RIFF") > 0 and len(form) > 32_000
    assert upstream.headers[0].startswith("POST /v1/audio/transcriptions ")


async def test_half_a_surrogate_pair_in_a_transcript_becomes_a_sign() -> None:
    async with stand_in(heard("Oh \\ud83d.")) as upstream, listening(upstream) as ear:
        assert (await ear.transcribe("u", SPEECH)).text == "Oh \ufffd."


async def test_silence_is_not_sent() -> None:
    async with stand_in() as upstream, listening(upstream) as ear:
        assert (await ear.transcribe("u", bytes(48_000))).text == ""
    assert not upstream.requests


async def test_words_that_were_told_already_stay_as_they_were() -> None:
    async with stand_in(heard("Hallo there, my friend."), heard("Hallo there, my friend.")) as up:
        async with listening(up) as ear:
            ask = TranscriptionAsk("whisper-1", prefix="Hello there,")
            transcriber = WhisperTranscriber({"own": ear})
            *_, last = [t async for t in transcriber.transcribe("u", SPEECH, ask)]
            assert last.text == "Hello there, my friend."
            assert transcriber.models.languages == {}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(b"<html>", kind="text/html"), "nonsense"),
        (Answer(b'{"words": 1}', kind="application/json"), "nonsense"),
        (
            Answer(f'{{"error":{{"message":"{KEY}"}}}}'.encode(), status="500 Oops"),
            r"refused \(500\)",
        ),
        (Answer(b"{}", status="401 No", kind="application/json"), "refused the key in stt_key"),
        (Answer(b"{}", status="404 No", kind="application/json"), "no such model"),
        (Answer(b"{}", status="429 No", kind="application/json"), "over its quota"),
        (Answer(status="307 Go", headers="Location: http://127.0.0.1:1/\r\n"), "a redirect"),
        (Answer(b'{"text": ' + b"[" * 100_000, kind="application/json"), "nested too deeply"),
        (
            Answer(b"", b"", kind="application/json", held=1, heartbeat_s=0.05, beat=b" "),
            r"did not answer within 0\.3 s",
        ),
        (Answer(b"", kind="application/json", held=0), r"did not answer within 0\.3 s"),
    ],
)
async def test_a_fault_is_told_and_the_next_item_is_heard(
    answer: Answer, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "duologue")
    answer_s = 5.0 if answer.held is None else 0.3
    async with stand_in(answer, heard("Yes.")) as upstream, listening(upstream, answer_s) as ear:
        with pytest.raises(EngineFault, match=reason) as fault:
            await ear.transcribe("u", SPEECH)
        code = "rate_limit_exceeded" if "429" in answer.status else "transcription_failed"
        assert fault.value.code == code and KEY not in fault.value.message
        assert (await ear.transcribe("v", SPEECH)).text == "Yes."
    assert KEY not in caplog.text


async def test_an_absent_ear_is_told() -> None:
    async with stand_in() as upstream:
        pass
    async with listening(upstream) as ear:
        with pytest.raises(EngineFault, match="cannot be reached"):
            await ear.transcribe("u", SPEECH)


@pytest.mark.parametrize(
    "bad", [Answer(gone=True), Answer(b'{"text": "He', kind="application/json", cut=True)]
)
async def test_a_connection_that_had_gone_stale_is_made_anew_once(bad: Answer) -> None:
    async with stand_in(heard("One."), bad, heard("Two."), bad, bad) as upstream:
        async with listening(upstream) as ear:
            assert (await ear.transcribe("u", SPEECH)).text == "One."
            assert (await ear.transcribe("v", SPEECH)).text == "Two."
            with pytest.raises(EngineFault, match="cannot be reached, or broke off"):
                await ear.transcribe("w", SPEECH)


async def test_what_is_under_way_at_the_end_is_given_up() -> None:
    slow = Answer(b"", kind="application/json", held=0)
    async with stand_in(slow) as upstream:
        server = RemoteServer(upstream.url, "stt", "the recognition server", KEY)
        speech = RemoteSpeech(server)
        (piece,) = speech.pieces(SPEECH)
        asked = asyncio.ensure_future(asyncio.to_thread(speech.hear, piece, Hearing()))
        await slow.reached.wait()
        await speech.aclose()
        with pytest.raises(EngineFault, match="not asked any more"):
            await asked


async def test_at_the_end_nobody_waits_for_a_server_that_hangs() -> None:
    hanging = Answer(b"{}", kind="application/json", held=0)
    async with stand_in(hanging) as upstream:
        server = RemoteServer(upstream.url, "stt", "the recognition server", KEY, answer_s=600)
        speech = RemoteSpeech(server)
        ear = WhisperEar(speech, workers=2)
        async with asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(_faulted(ear))
            await hanging.reached.wait()
            async with asyncio.timeout(30):
                for close in (speech.give_up, ear.aclose, speech.aclose):
                    await close()
        told = ("the recognition server is not asked any more", "The server is shutting down.")
        assert asked.result() in told  # whichever thread is first


async def _faulted(ear: WhisperEar) -> str:
    with pytest.raises(EngineFault) as fault:
        await ear.transcribe("u", SPEECH)
    return fault.value.message
