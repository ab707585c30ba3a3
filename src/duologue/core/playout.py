"""What is being played where playing is ours: on a call, not over a plain WebSocket.

    response ─ Play ─► the call's pacer ─ Played ─► ledgers ─► output_audio_buffer.*

The sound of replies leaves as `Play`, and each `Played` says how much of an item has gone out
to the listener. From that come `started` and `stopped`; on an interruption what was not played
is let fall, the items end where they were heard, and the client is told (`cleared`,
`conversation.item.truncated`; reference 4.3 j). Each `started` has one `stopped` or `cleared`.
"""

from msgspec import structs

from duologue.audio import pcm as audio
from duologue.core.batch import Batch
from duologue.core.conversation import Conversation, Entry
from duologue.core.outputs import Cut, Play, StopPlaying
from duologue.events import (
    ConversationItemTruncated,
    MessageItem,
    OutputAudio,
    OutputAudioBufferCleared,
    OutputAudioBufferStarted,
    OutputAudioBufferStopped,
)


class Sounding:
    """A response with sound: its items in order, and how far it has got."""

    def __init__(self, response_id: str) -> None:
        self.response_id = response_id
        self.entries: list[Entry] = []
        self.started = False
        self.over = False
        """Whether no more sound will come."""
        self.muted = False
        """Whether it was cleared: what still comes is not played."""
        self.cut: list[Entry] = []
        """The items that were cut then."""

    @property
    def drained(self) -> bool:
        return self.over and all(_is_played(entry) for entry in self.entries)


class Playout:
    """The responses of one call that have sound which was not yet played to its end."""

    def __init__(self, batch: Batch, conversation: Conversation) -> None:
        self._batch = batch
        self._conversation = conversation
        self._sounding: dict[str, Sounding] = {}

    def play(self, response_id: str, entry: Entry, pcm: bytes) -> None:
        """Have sound played, after all that waits already."""
        sounding = self._sounding.setdefault(response_id, Sounding(response_id))
        is_new = entry not in sounding.entries
        if is_new:
            sounding.entries.append(entry)
        if sounding.muted:
            if is_new and entry.ledger is not None:
                entry.ledger.cut(0)
        else:
            self._batch.add(Play(response_id, entry.id, pcm))

    def played(self, item_id: str, samples: int) -> None:
        """The first `samples` of an item have been played."""
        for sounding in tuple(self._sounding.values()):
            for entry in sounding.entries:
                if entry.id == item_id and not sounding.muted:
                    self._advance(sounding, entry, samples)
                    return

    def end(self, response_id: str) -> None:
        """The response is over: nothing will be added to its sound."""
        if sounding := self._sounding.get(response_id):
            sounding.over = True
            self._settle(sounding)

    def stop(self, response_id: str | None = None) -> list[Sounding]:
        """Play no more of a response (None: of any), and cut its items where they were heard.

        The client is told by `tell_cleared` and `tell_truncated`, each at its place in line.
        """
        stopped = [
            sounding
            for sounding in self._sounding.values()
            if response_id in (None, sounding.response_id) and not sounding.muted
        ]
        for sounding in stopped:
            sounding.muted = True
            self._batch.add(StopPlaying(sounding.response_id))
            for entry in sounding.entries:
                assert entry.ledger is not None
                is_growing = entry is sounding.entries[-1] and not sounding.over
                if is_growing or not _is_played(entry):
                    entry.ledger.cut(entry.ledger.played or 0)
                    sounding.cut.append(entry)
                    _show_heard(entry)
            if sounding.over:
                del self._sounding[sounding.response_id]
        return stopped

    def tell_cleared(self, stopped: list[Sounding]) -> None:
        """Say that the sound of these responses was dropped, where any had begun."""
        for sounding in stopped:
            if sounding.started:
                self._batch.send(OutputAudioBufferCleared, response_id=sounding.response_id)

    def tell_truncated(self, stopped: list[Sounding]) -> None:
        """Say how much of each item was heard, to the client and to the engine."""
        for sounding in stopped:
            for entry in sounding.cut:
                ledger = entry.ledger
                assert ledger is not None and ledger.kept is not None
                if not self._conversation.holds(entry):
                    continue
                end_ms = audio.ms_of_samples(ledger.kept)
                self._batch.send(
                    ConversationItemTruncated,
                    item_id=entry.id,
                    content_index=0,
                    audio_end_ms=end_ms,
                )
                if entry.known:
                    self._batch.add(Cut(entry.id, end_ms, ledger.heard_text))

    def clear(self) -> None:
        """Play no more of anything, and tell the client at once."""
        stopped = self.stop()
        self.tell_cleared(stopped)
        self.tell_truncated(stopped)

    def of_item(self, entry: Entry) -> str | None:
        """The response whose sound an item is, while that is still being played."""
        for sounding in self._sounding.values():
            if entry in sounding.entries and not sounding.muted:
                return sounding.response_id
        return None

    def _advance(self, sounding: Sounding, entry: Entry, samples: int) -> None:
        assert entry.ledger is not None
        entry.ledger.played = min(samples, entry.ledger.generated)
        if not sounding.started:
            sounding.started = True
            self._batch.send(OutputAudioBufferStarted, response_id=sounding.response_id)
        self._settle(sounding)

    def _settle(self, sounding: Sounding) -> None:
        if sounding.muted and sounding.over:
            del self._sounding[sounding.response_id]
        elif sounding.drained:
            del self._sounding[sounding.response_id]
            if sounding.started:
                self._batch.send(OutputAudioBufferStopped, response_id=sounding.response_id)


def _is_played(entry: Entry) -> bool:
    assert entry.ledger is not None
    return (entry.ledger.played or 0) >= entry.ledger.generated


def _show_heard(entry: Entry) -> None:
    assert isinstance(entry.item, MessageItem) and entry.ledger is not None
    if entry.item.content:
        heard = OutputAudio(transcript=entry.ledger.heard_text)
        entry.item = structs.replace(entry.item, content=(heard,))
