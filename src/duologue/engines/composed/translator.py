"""Speech in any language that the ear knows, said again in English by the mouth.

One segment of sound in, `Say` events out, clause by clause as a reply is spoken. There is no
language model in it: Whisper itself translates into English, and into nothing else.
"""

from collections.abc import AsyncIterator
from itertools import count
from typing import Protocol

from duologue.core.talk import Done, ReplyEvent, Say, TranslationAsk
from duologue.engines.composed.clauses import ClauseSplitter
from duologue.engines.composed.parts import Mouth


class TranslatingEar(Protocol):
    """An ear that can write down in English what was said in another language."""

    async def translate(self, media_id: str, pcm: bytes) -> str:
        """The English text of a sound, "" where there are no words. Raises `EngineFault`."""


class ComposedTranslator:
    """Satisfies `Translator`. Ear and mouth belong to others, who close them."""

    languages: tuple[str, ...] = ("en",)

    def __init__(self, ear: TranslatingEar, mouth: Mouth) -> None:
        self._ear = ear
        self._mouth = mouth
        self._voice = next(iter(mouth.voices))
        self._numbers = count()

    async def translate(self, pcm: bytes, ask: TranslationAsk) -> AsyncIterator[ReplyEvent]:
        """See `Translator.translate`."""
        text = await self._ear.translate(f"translation {next(self._numbers)}", pcm)
        splitter = ClauseSplitter()
        voiced = 0
        for clause in (*splitter.push(text), *splitter.flush()):
            start = 0
            for word in await self._mouth.speak(clause, voice=self._voice, speed=1.0):
                voiced += word.end - start
                yield Say(clause[start : word.end], word.pcm, voiced)
                start = word.end
        yield Done()
