"""A voice on another server: clauses in, `POST /audio/speech`, words with their sound out.

Such a server says nothing of when each word is spoken, so the sound of a clause is shared
out among its words by their length: a cut history is then right to a word or so. Edges and
loudness are made the same as those of the voice in this process.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from functools import partial

from duologue.audio import pcm as audio
from duologue.core.settings import WELL_KNOWN_VOICES
from duologue.engines.composed.parts import Word
from duologue.engines.composed.waveform import leveled, trimmed
from duologue.engines.remote.sound import UNTOLD, Unreadable, samples
from duologue.remote.server import RemoteServer

WORD = re.compile(r"\S+")
PAUSE_MS = {",": 120, ";": 180, ":": 200} | dict.fromkeys(".!?…", 280)
BREATH_MS = 30
MOST_BYTES = 24_000 * 2 * 120
"""Two minutes of sound: no clause is longer, whatever is sent."""


class RemoteMouth:
    """Satisfies `Mouth`; the server is its own. `voices` are names there, the default first."""

    def __init__(self, server: RemoteServer, voices: Sequence[str] = ()) -> None:
        names = voices or WELL_KNOWN_VOICES
        self.voices: Mapping[str, str] = dict.fromkeys(names, f"{server.address.model}, remote")
        self._server = server

    async def speak(self, clause: str, *, voice: str, speed: float) -> Sequence[Word]:
        """See `Mouth.speak`. A name that is none over there gets the default voice."""
        if not any(letter.isalnum() for letter in clause):
            return [Word(len(clause), b"")]
        known = voice if voice in self.voices else next(iter(self.voices))
        body = {
            "model": self._server.address.model,
            "input": clause.strip(),
            "voice": known,
            "response_format": "pcm",
            "speed": speed,
        }
        with self._server.faults():
            # For all of a clause: one that comes drop by drop would hold its reply for ever.
            async with asyncio.timeout(self._server.answer_s):
                data, media_type = await self._server.asked(partial(self._sound, body))
            try:
                return await asyncio.to_thread(_words, clause, data, media_type, speed)
            except Unreadable as what:
                raise self._server.fault(f"answered {what}") from None

    async def aclose(self) -> None:
        """Close the connections."""
        await self._server.aclose()

    async def _sound(self, body: dict[str, object]) -> tuple[bytes, str]:
        """What the server answers, and its media type."""
        create = self._server.client.audio.with_streaming_response.speech.create
        async with create(**body) as answer:  # type: ignore[arg-type]
            kind = answer.headers.get("content-type", "")
            if kind and not kind.lower().startswith(("audio/", *UNTOLD)):
                raise self._server.fault(f"answered {kind[:60]} in place of sound")
            data = bytearray()
            async for piece in answer.iter_bytes():
                data += piece
                if len(data) > MOST_BYTES:
                    raise self._server.fault("answered with more sound than a clause can have")
        if len(data) < 2:
            raise self._server.fault("answered without any sound")
        return bytes(data), kind


def _words(clause: str, data: bytes, media_type: str, speed: float) -> list[Word]:
    mark = clause.rstrip("\"”’')]»\n ")[-1:]
    pause_ms = round(PAUSE_MS.get(mark, BREATH_MS) / min(max(speed, 0.5), 2.0))
    sound, _ = trimmed(samples(data, media_type), pause_ms)
    made = leveled(sound)
    spoken = len(made) - pause_ms * audio.RATE_HZ // 1000
    ends = [match.end() for match in WORD.finditer(clause)]
    cuts = [spoken * end // ends[-1] for end in ends[:-1]] + [len(made)]
    ends[-1] = len(clause)
    starts = [0, *cuts[:-1]]
    return [
        Word(end, made[start:cut].tobytes())
        for end, start, cut in zip(ends, starts, cuts, strict=True)
    ]
