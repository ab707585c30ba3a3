"""The client's sound formats, over real sockets: telephone sound in and out, PCM inside."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest

from duologue.audio import g711
from duologue.engines.scripted import TONE_HZ, tone
from duologue.events import ResponseOutputAudioDelta
from duologue.runtime.formats import Outgoing
from duologue.testing.timeline import Timeline
from live_server import Caller, call, http_post, scripted, serving
from oracle import validate_server_event
from session_kit import create, update

PCM = {"type": "audio/pcm", "rate": 24_000}
PCMU = {"type": "audio/pcmu"}
PCMA = {"type": "audio/pcma"}
LAWS: dict[str, g711.Law] = {"audio/pcmu": "pcmu", "audio/pcma": "pcma"}

SILENCE = bytes(48_000)
SPOKEN_TURN = SILENCE + tone(600) + SILENCE
SCRIPT = """
word_ms = 200
[[replies]]
text = "one two three four five six"
word_delay_ms = 20
"""


def coded(pcm: bytes, chosen: dict[str, Any]) -> bytes:
    """24 kHz PCM as a client of that format sends it."""
    law = LAWS.get(chosen["type"])
    return pcm if law is None else g711.encode(pcm, law)


def decoded(sound: bytes, chosen: dict[str, Any]) -> np.ndarray:
    law = LAWS.get(chosen["type"])
    pcm = sound if law is None else g711.decode(sound, law)
    return np.frombuffer(pcm, np.int16).astype(float)


def pitch_hz(samples: np.ndarray) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * 24_000 / len(samples))


class Line:
    """A caller whose every event the official SDK would take."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.events: list[dict[str, Any]] = []

    async def send(self, event: dict[str, Any]) -> None:
        await self.caller.socket.send(json.dumps(event))

    async def until(self, kind: str) -> dict[str, Any]:
        while True:
            text = await self.caller.socket.recv()
            assert isinstance(text, str)
            event: dict[str, Any] = json.loads(text)
            event.get("response", {}).pop("duologue", None)
            validate_server_event(json.dumps(event))
            assert event["type"] != "error", event
            self.events.append(event)
            if event["type"] == kind:
                return event

    async def listen(self, listens: dict[str, Any], speaks: dict[str, Any], **more: Any) -> None:
        """Set both formats and see them echoed."""
        await self.send(
            update(audio={"input": {"format": listens, **more}, "output": {"format": speaks}})
        )
        session = (await self.until("session.updated"))["session"]
        assert session["audio"]["input"]["format"] == listens
        assert session["audio"]["output"]["format"] == speaks

    async def speak(self, sound: bytes, frame_bytes: int) -> None:
        for start in range(0, len(sound), frame_bytes):
            audio = base64.b64encode(sound[start : start + frame_bytes]).decode()
            await self.send({"type": "input_audio_buffer.append", "audio": audio})

    async def committed(self) -> bytes:
        """Commit what was said, and get it back as the server has it."""
        await self.send({"type": "input_audio_buffer.commit"})
        item_id = (await self.until("input_audio_buffer.committed"))["item_id"]
        return await self.sound_of(item_id)

    async def sound_of(self, item_id: str) -> bytes:
        await self.send({"type": "conversation.item.retrieve", "item_id": item_id})
        item = (await self.until("conversation.item.retrieved"))["item"]
        return base64.b64decode(item["content"][0]["audio"])

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def sound(self, response_id: str) -> bytes:
        return b"".join(
            base64.b64decode(event["delta"])
            for event in self.of("response.output_audio.delta")
            if event["response_id"] == response_id
        )


@asynccontextmanager
async def line() -> AsyncIterator[Line]:
    async with serving(scripted(script=SCRIPT)) as base_url, call(base_url) as caller:
        one = Line(caller)
        await one.until("session.created")
        yield one


@pytest.mark.conformance("C-069", "C-095", "C-136")
@pytest.mark.parametrize("listens", [PCM, PCMU, PCMA], ids=lambda f: f["type"])
@pytest.mark.parametrize("speaks", [PCM, PCMU, PCMA], ids=lambda f: f["type"])
async def test_a_spoken_turn_in_any_two_formats(
    listens: dict[str, Any], speaks: dict[str, Any]
) -> None:
    async with line() as c:
        await c.listen(listens, speaks)
        frame_bytes = 960 if listens == PCM else 160
        await c.speak(coded(SPOKEN_TURN, listens), frame_bytes)
        done = await c.until("response.done")
        # As in `test_runner`, where the same sound comes as PCM.
        started = c.of("input_audio_buffer.speech_started")[0]["audio_start_ms"]
        stopped = c.of("input_audio_buffer.speech_stopped")[0]["audio_end_ms"]
        assert (started, stopped) == (692, 2272)
        created = c.of("response.created")[0]["response"]
        assert created["audio"]["output"]["format"] == speaks
        assert done["response"]["audio"]["output"]["format"] == speaks
        heard = decoded(c.sound(created["id"]), speaks)
        assert len(heard) == 6 * 200 * 24
        assert abs(pitch_hz(heard) - TONE_HZ) < 2
        kinds = [event["type"] for event in c.events]
        over = kinds.index("response.output_audio.done")
        assert "response.output_audio.delta" not in kinds[over:]


@pytest.mark.conformance("C-069")
async def test_a_change_of_format_holds_from_the_next_append_on() -> None:
    async with line() as c:
        await c.listen(PCM, PCM, turn_detection=None)
        await c.speak(tone(200) + b"\x7f", 960)  # half a sample, which nothing can complete
        await c.listen(PCMU, PCM)
        await c.speak(coded(tone(200), PCMU), 160)
        await c.listen(PCMA, PCM)
        await c.speak(coded(tone(200), PCMA), 160)
        await c.listen(PCM, PCM)
        heard = np.frombuffer(await c.committed(), np.int16).astype(float)
        assert len(heard) == 3 * 200 * 24
        for start in (0, 4800, 9600):
            part = heard[start + 480 : start + 4800 - 480]
            assert abs(pitch_hz(part) - TONE_HZ) < 5
            assert abs(np.sqrt(np.mean(part**2)) * 2**0.5 - 8000) < 300


async def test_seconds_of_telephone_sound_in_one_append_are_the_same_as_in_frames() -> None:
    async with line() as c:
        sound = coded(tone(3000), PCMU)
        heard = []
        for frame_bytes in (160, len(sound)):
            await c.listen(PCMU, PCM, turn_detection=None)
            await c.speak(sound, frame_bytes)
            await c.listen(PCM, PCM)
            heard.append(np.frombuffer(await c.committed(), np.int16).astype(int))
        in_frames, at_once = heard
        assert len(at_once) == len(in_frames) == 3000 * 24
        assert np.abs(at_once - in_frames).max() <= 1


@pytest.mark.conformance("C-078")
@pytest.mark.parametrize("frame_bytes", [1, 3, 481, 961])
async def test_pcm_cut_inside_a_sample_is_joined(frame_bytes: int) -> None:
    async with line() as c:
        await c.listen(PCM, PCM, turn_detection=None)
        said = tone(120)
        await c.speak(said, frame_bytes)
        assert await c.committed() == said


@pytest.mark.conformance("C-136")
async def test_a_response_keeps_the_format_it_was_created_with() -> None:
    async with line() as c:
        await c.listen(PCM, PCMU)
        await c.send(create())
        first = (await c.until("response.created"))["response"]
        await c.until("response.output_audio.delta")
        await c.listen(PCM, PCM)
        await c.until("response.done")
        await c.send(create())
        second = (await c.until("response.created"))["response"]
        await c.until("response.done")
        assert first["audio"]["output"]["format"] == PCMU
        assert second["audio"]["output"]["format"] == PCM
        assert len(c.sound(first["id"])) == 6 * 200 * 8
        assert c.sound(second["id"]) == tone(200) * 6


@pytest.mark.conformance("C-136")
async def test_a_response_may_have_a_format_of_its_own() -> None:
    async with line() as c:
        await c.send(create(audio={"output": {"format": PCMA}}))
        response = (await c.until("response.created"))["response"]
        await c.until("response.done")
        assert response["audio"]["output"]["format"] == PCMA
        heard = decoded(c.sound(response["id"]), PCMA)
        assert abs(pitch_hz(heard) - TONE_HZ) < 2
        await c.send(create())
        assert (await c.until("response.created"))["response"]["audio"]["output"]["format"] == PCM


async def test_formats_that_a_client_secret_binds_hold_from_the_first_append_on() -> None:
    session = {
        "type": "realtime",
        "audio": {
            "input": {"format": PCMA, "turn_detection": None},
            "output": {"format": PCMU},
        },
    }
    async with serving(scripted(script=SCRIPT)) as base_url:
        url = base_url + "/realtime/client_secrets"
        _, _, secret = await http_post(url, {"session": session})
        async with call(base_url, key=secret["value"]) as caller:
            c = Line(caller)
            created = await c.until("session.created")
            assert created["session"]["audio"]["input"]["format"] == PCMA
            said = coded(tone(200), PCMA)
            await c.speak(said, 160)
            heard = decoded(await c.committed(), PCMA)
            assert len(heard) == 200 * 24
            assert abs(pitch_hz(heard[480:]) - TONE_HZ) < 5
            await c.send(create())
            response = (await c.until("response.done"))["response"]
            assert len(c.sound(response["id"])) == 6 * 200 * 8


async def test_two_responses_at_once_have_their_own_formats() -> None:
    async with line() as c:
        await c.listen(PCM, PCMU)
        await c.send(create())
        one = (await c.until("response.created"))["response"]["id"]
        await c.send(create(conversation="none", audio={"output": {"format": PCM}}))
        other = (await c.until("response.created"))["response"]["id"]
        await c.until("response.done")
        await c.until("response.done")
        assert c.sound(other) == tone(200) * 6
        assert abs(pitch_hz(decoded(c.sound(one), PCMU)) - TONE_HZ) < 2


@pytest.mark.parametrize("chosen", [PCMU, PCMA], ids=lambda f: f["type"])
async def test_the_sound_of_an_item_comes_and_goes_in_the_session_s_formats(
    chosen: dict[str, Any],
) -> None:
    async with line() as c:
        await c.listen(chosen, chosen)
        said = coded(tone(500), chosen)
        part = {"type": "input_audio", "audio": base64.b64encode(said).decode()}
        item = {"id": "item_said", "type": "message", "role": "user", "content": [part]}
        await c.send({"type": "conversation.item.create", "item": item})
        await c.until("conversation.item.done")
        back = decoded(await c.sound_of("item_said"), chosen)
        error = back - decoded(said, chosen)
        assert len(back) == 500 * 24
        assert np.sqrt(np.mean(error**2)) < 150  # coded twice
        await c.send(create())
        done = await c.until("response.done")
        reply = done["response"]["output"][0]["id"]
        assert abs(pitch_hz(decoded(await c.sound_of(reply), chosen)) - TONE_HZ) < 2
        await c.listen(PCM, PCM)
        as_pcm = np.frombuffer(await c.sound_of("item_said"), np.int16)
        assert np.abs(as_pcm - decoded(said, chosen)).max() <= 1
        assert await c.sound_of(reply) == tone(200) * 6


async def test_sound_in_the_context_of_one_response_is_in_the_session_s_format() -> None:
    async with line() as c:
        await c.listen(PCMU, PCM)
        part = {"type": "input_audio", "audio": base64.b64encode(coded(tone(300), PCMU)).decode()}
        item = {"type": "message", "role": "user", "content": [part]}
        await c.send(create(input=[item], conversation="none"))
        assert (await c.until("response.done"))["response"]["status"] == "completed"


@pytest.mark.conformance("C-157")
async def test_an_interrupted_telephone_reply_is_silent_after_the_user_speaks() -> None:
    async with line() as c:
        await c.listen(PCMU, PCMU)
        await c.send(create())
        await c.until("response.output_audio.delta")
        await c.speak(coded(SPOKEN_TURN, PCMU), 160)
        await c.until("response.done")
        await asyncio.wait_for(c.until("input_audio_buffer.speech_stopped"), 10)
        kinds = [event["type"] for event in c.events]
        started = kinds.index("input_audio_buffer.speech_started")
        stopped = kinds.index("input_audio_buffer.speech_stopped")
        assert "response.output_audio.delta" not in kinds[started:stopped]


async def test_a_converted_event_is_of_the_class_that_it_was() -> None:
    t = Timeline()
    t.engine.says("Once only.")
    t.client_sends(0.1, create(audio={"output": {"format": PCMU}}))
    t.run(2.0)
    outgoing = Outgoing()
    sent = [outgoing.convert(event) for _, event in t.sent]
    assert [type(event) for event in sent] == [type(event) for _, event in t.sent]
    lengths = [len(e.delta) for e in sent if isinstance(e, ResponseOutputAudioDelta)]
    assert lengths == [1600, 1600]
