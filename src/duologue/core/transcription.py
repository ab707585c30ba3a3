"""The side-channel transcript of the user's speech, one job per user item that has sound.

A committed entry goes in; `Transcribe` goes out; the result comes back by job id and leaves
as the item's transcription events. It never delays and never fails a response (C-100, C-101).
"""

from collections.abc import Callable

from msgspec import UNSET, structs

from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.inputs import Transcribed, TranscriptionFailed
from duologue.core.outputs import Transcribe
from duologue.core.talk import Transcript, TranscriptionAsk
from duologue.events import (
    AudioTranscription,
    ConversationItemInputAudioTranscriptionCompleted,
    ConversationItemInputAudioTranscriptionDelta,
    ConversationItemInputAudioTranscriptionFailed,
    InputAudio,
    MessageItem,
    TranscriptionDuration,
    TranscriptionError,
)


class Transcription:
    """Transcription jobs under way: job id -> entry and content index."""

    def __init__(
        self, batch: Batch, conversation: Conversation, new_id: Callable[[str], str]
    ) -> None:
        self._batch = batch
        self._conversation = conversation
        self._new_id = new_id
        self._jobs: dict[str, tuple[Entry, int]] = {}

    def start(self, entry: Entry, settings: AudioTranscription | None) -> None:
        """Write down the sound of `entry`, if the session wants transcripts."""
        if settings is None or not isinstance(entry.item, MessageItem):
            return
        spoken = [n for n, p in enumerate(entry.item.content) if isinstance(p, InputAudio)]
        job = self._new_id("job")
        self._jobs[job] = (entry, spoken[0])
        ask = TranscriptionAsk(
            model=settings.model or "",
            language=settings.language or None,
            prompt=settings.prompt or None,
        )
        self._batch.add(Transcribe(job, entry.id, entry.pcm, ask))

    def take(self, result: Transcribed | TranscriptionFailed) -> None:
        """Take the result of a job; nothing if it is not known."""
        if (known := self._jobs.pop(result.job, None)) is None:
            return
        entry, index = known
        if isinstance(result, Transcribed):
            self._complete(entry, index, result.transcript)
            return
        self._batch.send(
            ConversationItemInputAudioTranscriptionFailed,
            item_id=entry.id,
            content_index=index,
            error=TranscriptionError(
                type="server_error", code=result.code or UNSET, message=result.message
            ),
        )

    def _complete(self, entry: Entry, index: int, transcript: Transcript) -> None:
        item = entry.item
        assert isinstance(item, MessageItem)
        content = list(item.content)
        content[index] = InputAudio(transcript=transcript.text)
        entry.item = structs.replace(item, content=tuple(content))
        if transcript.text:
            self._batch.send(
                ConversationItemInputAudioTranscriptionDelta,
                item_id=entry.id,
                content_index=index,
                delta=transcript.text,
            )
        self._batch.send(
            ConversationItemInputAudioTranscriptionCompleted,
            item_id=entry.id,
            content_index=index,
            transcript=transcript.text,
            usage=TranscriptionDuration(seconds=transcript.seconds),
        )
