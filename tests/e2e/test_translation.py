"""French and German, spoken by espeak-ng, through Whisper base into English speech.

There is no recording of another language in the repository, so the speech is synthesised
here (`python scripts/install_espeak.py`); without it the test is skipped loudly, and fails in CI.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import av
import pytest
from openai import AsyncOpenAI
from websockets.exceptions import ConnectionClosedOK

from duologue.config import ServerConfig
from judging import Judge
from live_server import KEY, serving
from weights import STORE, weights

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.timeout(300)]

SPOKEN = {
    "fr": ("Bonjour, je voudrais deux cafés et un verre d'eau.", {"coffee", "hello"}, "Bonjour"),
    "de": (
        "Guten Morgen, meine Damen und Herren. Heute ist das Wetter sehr schön, "
        "und wir fahren mit dem Zug nach Berlin.",
        {"morning", "today"},
        "Guten Morgen",
    ),
}
"""Of each language what is said, English words to expect, and how its transcript begins.

Whisper base understands the synthesiser only roughly, so no more than that is expected.
"""


def spoken(language: str, text: str, folder: Path) -> bytes:
    """24 kHz PCM of a text, with a second of silence after it."""
    if not (program := shutil.which("espeak-ng")):
        if os.environ.get("CI"):
            pytest.fail("CI has no espeak-ng: run scripts/install_espeak.py")
        pytest.skip("ESPEAK-NG IS NOT ON THIS MACHINE: python scripts/install_espeak.py")
    path = folder / f"{language}.wav"
    subprocess.run([program, "-v", language, "-s", "140", "-w", str(path), text], check=True)
    resampler = av.AudioResampler("s16", "mono", 24_000)
    with av.open(str(path)) as sound:
        frames = [f for frame in sound.decode(audio=0) for f in resampler.resample(frame)]
    pcm = b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)
    return pcm + bytes(48_000)


@pytest.mark.client("openai Python", "translation")
async def test_foreign_speech_comes_out_as_english_speech(tmp_path: Path) -> None:
    for name in ("silero-vad", "whisper-base", "smollm2-135m-instruct-q4_1"):
        weights(name)
    config = ServerConfig(
        port=0, api_key=KEY, profile="small", stt="whisper-base", models_dir=str(STORE)
    )
    async with serving(config) as base_url:
        for language, (text, expected, beginning) in SPOKEN.items():
            pcm = spoken(language, text, tmp_path)
            client = AsyncOpenAI(api_key=KEY, base_url=base_url)
            async with client, client.realtime.translations.connect(model="duologue") as call:
                await call.session.update(
                    session={"audio": {"input": {"transcription": {"model": "whisper-1"}}}}
                )
                for start in range(0, len(pcm), 9_600):
                    chunk = base64.b64encode(pcm[start : start + 9_600]).decode()
                    await call.session.input_audio_buffer.append(audio=chunk)
                await call.session.close()
                events = [event async for event in judged(call)]
            assert events[-1].type == "session.closed"
            assert not [event for event in events if event.type == "error"]
            said = told(events, "session.output_transcript.delta")
            words = {word.strip(".,?!").lower() for word in said.split()}
            assert words & expected, said
            assert told(events, "session.input_transcript.delta").startswith(beginning)
            sound = b"".join(
                base64.b64decode(event.delta)
                for event in events
                if event.type == "session.output_audio.delta"
            )
            assert len(sound) > 48_000


async def judged(call: Any) -> AsyncIterator[Any]:
    """The events of a session; strict clients accept each."""
    judge = Judge()
    while True:
        try:
            frame = await call.recv_bytes()
        except ConnectionClosedOK:
            return
        judge(json.loads(frame))
        yield call.parse_event(frame)


def told(events: list[Any], kind: str) -> str:
    return "".join(event.delta for event in events if event.type == kind)
