"""Whisper as the transcriber of sessions: names of models to ears, asks to ways of hearing.

An ask names a model as applications do; here it is mapped onto one that is loaded. Sound that
the engine has heard, in the same way, is not heard again. Where words were told while they
were spoken, the transcript is made to go on from them: if what was heard anyway does not
begin so, it is heard once more with these words given.
"""

from collections.abc import AsyncIterator, Mapping

from msgspec import structs

from duologue.core.talk import Transcript, TranscriptionAsk, TranscriptPart
from duologue.core.transcription_models import WELL_KNOWN, TranscriptionModels
from duologue.hearing.ear import WhisperEar
from duologue.hearing.line import Precedence
from duologue.hearing.whisper import Hearing


class WhisperTranscriber:
    """Satisfies `Transcriber`.

    `ears` are the models that are loaded, by local name, the engine's own first; `names` maps
    further names, or well-known ones, onto them. `is_open` takes any name for the first.
    """

    def __init__(
        self,
        ears: Mapping[str, WhisperEar],
        names: Mapping[str, str] | None = None,
        *,
        is_open: bool = False,
    ) -> None:
        own = next(iter(ears))
        local = dict.fromkeys(WELL_KNOWN, own) | {name: name for name in ears} | dict(names or {})
        self._ears = {name: ears[ear] for name, ear in local.items()}
        self._own = ears[own]
        self.models = TranscriptionModels(
            names=tuple(self._ears),
            languages={name: ear.languages for name, ear in self._ears.items() if ear.languages},
            is_open=is_open,
        )

    async def transcribe(
        self, media_id: str, pcm: bytes, ask: TranscriptionAsk
    ) -> AsyncIterator[TranscriptPart | Transcript]:
        """See `Transcriber.transcribe`."""
        ear = self._ears.get(ask.model, self._own)
        how = Hearing(
            language=ask.language,
            languages=ask.languages,
            prompt=ask.hints,
            logprobs=ask.logprobs,
        )
        precedence = Precedence.PARTIAL if ask.partial else Precedence.TRANSCRIPT
        keeps = False
        try:
            if not ask.partial and ask.prefix:
                yield await self._going_on(ear, media_id, pcm, how, ask.prefix)
            else:
                how = structs.replace(how, prefix=ask.prefix)
                async for heard in ear.hear(media_id, pcm, how, precedence):
                    yield heard
            keeps = not ask.partial
        finally:
            if not keeps:  # a hypothesis is wanted once, and what was given up not at all
                ear.forget(media_id)

    async def _going_on(
        self, ear: WhisperEar, media_id: str, pcm: bytes, how: Hearing, prefix: str
    ) -> Transcript:
        """The transcript that begins with `prefix`; what was heard anyway, if it does."""
        whole = await ear.whole(media_id, pcm, how, Precedence.TRANSCRIPT)
        if whole.text.startswith(prefix):
            return whole
        how = structs.replace(how, prefix=prefix)
        return await ear.whole(media_id, pcm, how, Precedence.TRANSCRIPT)
