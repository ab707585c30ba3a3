"""The receiving side: what one turn of a conversation brought, and when.

`Turn.receive(event, now)` folds server events; nothing here waits or reads a clock.
"""

import base64
from collections.abc import Mapping

from openai.types.realtime import RealtimeServerEvent

from duologue.talk_client.playout import Playout

STAGES = ("decision", "transcript", "first_token", "first_clause", "first_audio")
"""Stages of a turn in order, as the `duologue` extension of `response.done` names them."""


class Turn:
    """One utterance of ours and the answer to it."""

    def __init__(self) -> None:
        self.speech_end: float | None = None
        """When our speaking ended, in monotonic seconds; None where nobody knows."""
        self.heard = ""
        self.said = ""
        self.pcm = b""
        self.playout = Playout()
        self.server_ms: Mapping[str, int] = {}
        """Milliseconds from the end of speech to each stage, as the server measured them."""
        self.failure: str | None = None
        """Why the answer failed, if it did."""
        self.cuts = 0
        """How often our speech was taken for finished although it went on."""
        self._marks: dict[str, float] = {}
        self._speaking = False
        self._heard_item: str | None = None
        self._answered = False
        self._active: set[str] = set()

    @property
    def answered(self) -> bool:
        """Whether the answer is complete, and nobody is speaking or about to."""
        return self._answered and not self._speaking and not self._active

    @property
    def transcribed(self) -> bool:
        """Whether nothing more will be learnt about what the server heard."""
        return self._heard_item is None

    @property
    def started(self) -> bool:
        """Whether the server noticed any speech."""
        return self._speaking or "decision" in self._marks

    def receive(self, event: RealtimeServerEvent, now: float) -> None:
        """Note an event of the server that arrived at `now`, in monotonic seconds."""
        if event.type == "input_audio_buffer.speech_started":
            if "decision" in self._marks and not self._over(now):
                self.cuts += 1
            self._speaking, self._answered = True, False
        elif event.type == "input_audio_buffer.speech_stopped":
            self._speaking = False
            self._marks = {"decision": now}
            self._heard_item = event.item_id
        elif event.type == "conversation.item.input_audio_transcription.completed":
            self.heard = f"{self.heard} {event.transcript.strip()}".strip()
            self._transcribed(event.item_id, now)
        elif event.type == "conversation.item.input_audio_transcription.failed":
            self._transcribed(event.item_id, None)
        elif event.type == "response.created":
            self._active.add(event.response.id or "")
            self.said, self.pcm, self.playout = "", b"", Playout()
        elif (
            event.type == "response.output_audio_transcript.delta"
            or event.type == "response.output_text.delta"
        ):
            self._marks.setdefault("first_token", now)
            self.said += event.delta
        elif event.type == "response.output_audio.delta":
            pcm = base64.b64decode(event.delta)
            self._marks.setdefault("first_audio", now)
            self.pcm += pcm
            self.playout.add(pcm, now)
        elif event.type == "response.done":
            self._active.discard(event.response.id or "")
            self._done(event.response.status or "", event.response.model_dump())

    def client_ms(self) -> dict[str, int]:
        """Milliseconds from the end of speech to each stage that the wire shows."""
        if self.speech_end is None:
            return {}
        marks = dict(self._marks)
        if self.playout.first_sound is not None:
            marks["first_audio"] = self.playout.first_sound
        return {stage: round((at - self.speech_end) * 1000) for stage, at in marks.items()}

    def _over(self, now: float) -> bool:
        return self.speech_end is not None and now > self.speech_end

    def _transcribed(self, item_id: str, now: float | None) -> None:
        if item_id == self._heard_item:
            self._heard_item = None
            if now is not None:
                self._marks["transcript"] = now

    def _done(self, status: str, response: dict[str, object]) -> None:
        # The extension is an extra key of the SDK's model; other servers do not send it.
        extension = response.get("duologue")
        stages = extension.get("stages_ms") if isinstance(extension, dict) else None
        if isinstance(stages, dict):
            self.server_ms = stages
        if status == "failed":
            details = response.get("status_details")
            error = details.get("error") if isinstance(details, dict) else None
            message = error.get("message") if isinstance(error, dict) else None
            self.failure = str(message or "the server gave no reason")
        self._answered = status != "cancelled"
