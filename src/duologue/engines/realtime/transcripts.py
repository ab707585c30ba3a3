"""What the upstream wrote down of the user's speech, as the transcriber of our own sessions.

Talks tell which items they put and what the upstream wrote; whoever transcribes such an item
waits for that. So no speech recognition need run here. It knows whole items of conversations
only: no hypotheses while somebody speaks, no sessions that only transcribe.
"""

import asyncio
from collections.abc import AsyncIterator, Hashable

from msgspec import structs

from duologue.audio import pcm as audio
from duologue.core.talk import Item, Transcript, TranscriptionAsk, TranscriptPart
from duologue.core.transcription_models import TranscriptionModels
from duologue.errors import EngineFault

PATIENCE_S = 30.0


class _Heard:
    """What is known of one item: nothing until `told`."""

    __slots__ = ("result", "told")

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.result: Transcript | EngineFault | None = None

    def tell(self, result: Transcript | EngineFault) -> None:
        if not self.told.is_set():
            self.result = result
            self.told.set()


class Transcripts:
    """Satisfies `Transcriber`. `always`: not only where the client wants to read them."""

    def __init__(
        self, *, is_open: bool = False, always: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        self.always = always
        self.models = TranscriptionModels(is_open=is_open)
        self._patience_s = patience_s
        self._known: dict[tuple[str, bytes], dict[Hashable, _Heard]] = {}
        self._sounds: dict[tuple[Hashable, str], bytes] = {}

    def expect(self, talk: Hashable, item: Item) -> None:
        """The upstream was given an item of the user."""
        if pcm := next((part.pcm for part in item.parts if part.pcm), b""):
            self._sounds[talk, item.id] = pcm
            self._known.setdefault((item.id, pcm), {})[talk] = _Heard()

    def settle(self, talk: Hashable, item_id: str, heard: Transcript | EngineFault) -> None:
        """The upstream has written it down, or could not."""
        pcm = self._sounds.get((talk, item_id))
        if pcm is not None:
            self._known[item_id, pcm][talk].tell(heard)

    def forget(self, talk: Hashable, item_id: str) -> None:
        """The item is gone."""
        self.settle(talk, item_id, EngineFault("The item was deleted."))
        pcm = self._sounds.pop((talk, item_id), None)
        if pcm is not None:
            talks = self._known[item_id, pcm]
            del talks[talk]
            if not talks:
                del self._known[item_id, pcm]

    def fail(self, talk: Hashable, fault: EngineFault) -> None:
        """The upstream session is lost."""
        for owner, item_id in list(self._sounds):
            if owner is talk:
                self.settle(talk, item_id, fault)

    def leave(self, talk: Hashable) -> None:
        """The talk is over."""
        for owner, item_id in list(self._sounds):
            if owner is talk:
                self.forget(talk, item_id)

    async def transcribe(
        self, item_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        """See `Transcriber.transcribe`. Raises `EngineFault`."""
        seconds = audio.samples(pcm) / audio.RATE_HZ
        if ask.partial:
            yield Transcript(ask.prefix, seconds, ask.language)
            return
        known = [*self._known.get((item_id, pcm), {}).values()]
        if not known:
            raise EngineFault("This server has no ears of its own, and its upstream has not heard.")
        heard = known[-1]
        try:
            async with asyncio.timeout(self._patience_s):
                await heard.told.wait()
        except TimeoutError:
            raise EngineFault("The upstream does not transcribe in time.") from None
        if isinstance(heard.result, EngineFault):
            raise heard.result
        assert heard.result is not None, "told without a result"
        told = structs.replace(heard.result, seconds=seconds)
        language = told.language or ask.language
        yield structs.replace(
            told, language=language, logprobs=told.logprobs if ask.logprobs else None
        )
