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
        self._known: dict[str, _Heard] = {}
        """By the `media_id` of a sound."""
        self._sounds: dict[tuple[Hashable, str], dict[int, str]] = {}
        """The `media_id`s of an item of a talk, by content index."""

    def expect(self, talk: Hashable, item: Item) -> None:
        """The upstream was given an item of the user."""
        sounds = {n: part.media_id for n, part in enumerate(item.parts) if part.pcm}
        if sounds:
            self._sounds[talk, item.id] = sounds
            self._known.update({media_id: _Heard() for media_id in sounds.values()})

    def settle(
        self,
        talk: Hashable,
        item_id: str,
        heard: Transcript | EngineFault,
        content_index: int | None = None,
    ) -> None:
        """The upstream has written a part of it down, or could not; None is all that is left."""
        sounds = self._sounds.get((talk, item_id), {})
        if content_index is not None and len(sounds) > 1:
            sounds = {n: media_id for n, media_id in sounds.items() if n == content_index}
        for media_id in sounds.values():
            self._known[media_id].tell(heard)

    def forget(self, talk: Hashable, item_id: str) -> None:
        """The item is gone."""
        self.settle(talk, item_id, EngineFault("The item was deleted."), None)
        for media_id in self._sounds.pop((talk, item_id), {}).values():
            del self._known[media_id]

    def fail(self, talk: Hashable, fault: EngineFault) -> None:
        """The upstream session is lost."""
        for owner, item_id in list(self._sounds):
            if owner is talk:
                self.settle(talk, item_id, fault, None)

    def leave(self, talk: Hashable) -> None:
        """The talk is over."""
        for owner, item_id in list(self._sounds):
            if owner is talk:
                self.forget(talk, item_id)

    async def transcribe(
        self, media_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        """See `Transcriber.transcribe`. Raises `EngineFault`."""
        seconds = audio.samples(pcm) / audio.RATE_HZ
        if ask.partial:
            yield Transcript(ask.prefix, seconds, ask.language)
            return
        heard = self._known.get(media_id)
        if heard is None:
            raise EngineFault("This server has no ears of its own, and its upstream has not heard.")
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
