"""What the upstream is asked to write down of the user, and what it wrote, for one talk.

Asks in, the `session.update` about transcription out; the upstream's events in, transcripts out to
`Transcripts`. It is an update of its own, so that an upstream that refuses a model or a
hint still takes all other settings. Without `transcripts` the ears are our own and nothing is said.
"""

from collections.abc import Hashable
from typing import Any

import msgspec
from msgspec import Struct

from duologue.core.talk import Ask, Item, Transcript, TranscriptionAsk
from duologue.core.transcription_models import LOGPROBS
from duologue.engines.realtime.transcripts import Transcripts
from duologue.engines.realtime.wire import UpstreamEvent
from duologue.errors import EngineFault
from duologue.events import LogProb

WRITTEN = "conversation.item.input_audio_transcription."
"""How the names of its events begin."""


class _LogProb(Struct, frozen=True):
    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None


class _Language(Struct, frozen=True):
    code: str


class Hearing:
    """One talk's; `talk` is its name among `transcripts`."""

    def __init__(self, transcripts: Transcripts | None, talk: Hashable) -> None:
        self._transcripts = transcripts
        self._talk = talk
        self._told: TranscriptionAsk | None = None
        self.number = 0
        """Of the settings that were told last."""
        self._refusal: EngineFault | None = None

    def begin(self) -> None:
        """The upstream session is new: it writes nothing down until it is told to."""
        self._told = None
        self._refusal = None

    def update(self, ask: Ask) -> dict[str, Any] | None:
        """The session settings to be told for `ask`; None where the upstream knows them."""
        if self._transcripts is None:
            return None
        wanted = ask.transcription
        if wanted is None and self._transcripts.always:
            wanted = TranscriptionAsk(self._transcripts.models.default)
        if wanted == self._told:
            return None
        session: dict[str, Any] = {
            "type": "realtime",
            "audio": {"input": {"transcription": _settings(wanted)}},
        }
        had_logprobs = self._told is not None and self._told.logprobs
        if wanted is not None and wanted.logprobs != had_logprobs:
            session["include"] = [LOGPROBS] if wanted.logprobs else None
        self._told = wanted
        self.number += 1
        self._refusal = None
        return session

    def refused(self, number: str, fault: EngineFault) -> None:
        """The upstream does not write down in this way: what waits for it fails, and says why.

        Unless it has been told another since: the answer to that is yet to come.
        """
        if number != str(self.number):
            return
        self._refusal = fault
        if self._transcripts is not None:
            self._transcripts.fail(self._talk, fault)

    def expect(self, item: Item) -> None:
        """The upstream is given an item."""
        if self._transcripts is None or item.role != "user":
            return
        self._transcripts.expect(self._talk, item)
        if self._refusal is not None:
            self._transcripts.settle(self._talk, item.id, self._refusal)

    def take(self, event: UpstreamEvent, why: str) -> None:
        """What it wrote of the item that the event names, or `why` it could not."""
        if self._transcripts is None:
            return
        if event.type.endswith("completed"):
            heard = _transcript(event)
            self._transcripts.settle(self._talk, event.item_id, heard, event.content_index)
        elif event.type.endswith("failed"):
            fault = EngineFault(f"The upstream could not transcribe: {why}")
            self._transcripts.settle(self._talk, event.item_id, fault, event.content_index)

    def wrote_nothing(self, item_id: str) -> None:
        """What was said in the item stands in another, or nowhere."""
        if self._transcripts is not None:
            self._transcripts.settle(self._talk, item_id, Transcript("", 0.0))

    def forget(self, item_id: str) -> None:
        """The item is gone."""
        if self._transcripts is not None:
            self._transcripts.forget(self._talk, item_id)

    def lost(self, fault: EngineFault) -> None:
        """The upstream session is lost."""
        if self._transcripts is not None:
            self._transcripts.fail(self._talk, fault)

    def leave(self) -> None:
        """The talk is over."""
        if self._transcripts is not None:
            self._transcripts.leave(self._talk)


def why_not(event: UpstreamEvent) -> str:
    """The upstream's own reason for an item that it could not write down."""
    return event.fault.message or "It gave no reason."


def _settings(ask: TranscriptionAsk | None) -> dict[str, Any] | None:
    if ask is None:
        return None
    settings: dict[str, Any] = {"model": ask.model}
    if ask.language:
        settings["language"] = ask.language
    if ask.languages:
        settings["languages"] = ask.languages
    if ask.prompt:
        settings["prompt"] = ask.prompt
    if ask.keywords:
        settings["keywords"] = ask.keywords
    return settings


def _transcript(event: UpstreamEvent) -> Transcript:
    """Words come first: details of another shape than they should be are left out."""
    languages = _converted(event.languages, tuple[_Language, ...])
    told = _converted(event.logprobs, tuple[_LogProb, ...])
    logprobs = None
    if told is not None:
        logprobs = tuple(
            LogProb(
                token=one.token,
                logprob=one.logprob,
                bytes=tuple(one.token.encode()) if one.bytes is None else one.bytes,
            )
            for one in told
        )
    return Transcript(
        event.transcript or "", 0.0, languages[0].code if languages else None, logprobs
    )


def _converted(told: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(told, kind)
    except msgspec.ValidationError:
        return None
