"""A timeline: who speaks when, played through a pure `Session` on a clock of its own.

    t = Timeline()
    t.engine.says("Sixteen ounces.", after_s=0.3)
    t.user_speaks(0.5, 1.5)
    t.run(4.0)
    assert t.types() == [...]

Entries go into a heap by time; the session's outputs schedule the engine's and the
transcriber's answers. No sleep and no real clock. Every event that leaves also goes through
a `ClientMirror`, so every timeline checks the order of events as well.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec

from duologue.audio import pcm as audio
from duologue.core import inputs, outputs
from duologue.core.kinds import make_session
from duologue.core.settings import SessionConfig
from duologue.core.talk import (
    Ask,
    Call,
    Done,
    Item,
    LiveEvent,
    ReplyEvent,
    Say,
    Transcript,
    TranscriptionAsk,
)
from duologue.errors import Refusal
from duologue.events import ClientEvent, decode_client_event, event_id_of
from duologue.events.translation import (
    AnyServerEvent,
    decode_translation_event,
)
from duologue.testing.client import ClientMirror
from duologue.testing.player import Player

WINDOW_MS = 32
_Entry = tuple[float, int, inputs.Input]


class PlannedReply(msgspec.Struct):
    """What the engine will answer next, and how fast."""

    events: list[ReplyEvent | inputs.ReplyFailed]
    after_s: float
    step_s: float


class TimelineEngine:
    """The engine of a timeline: planned replies in turn; keeps what it was told."""

    def __init__(self) -> None:
        self.planned: list[PlannedReply] = []
        self.asks: list[Ask] = []
        self.history: list[Item] = []
        self.expected: list[Item | None] = []
        self.cuts: list[tuple[str, int, str]] = []
        self.cancelled: list[str] = []
        self.live_jobs: list[str] = []
        """Live jobs that were opened, of a full-duplex model."""
        self.heard_bytes = 0
        self.gone_out: list[tuple[str, int]] = []
        self.nudges: list[Ask] = []
        self.hushes = 0

    def says(
        self, text: str, *, after_s: float = 0.3, step_s: float = 0.05, word_ms: int = 200
    ) -> None:
        """Plan a reply: one `Say` per word, each `word_ms` long."""
        events: list[ReplyEvent | inputs.ReplyFailed] = []
        voiced = 0
        for word in text.replace(" ", "\0 ").split("\0"):
            voiced += len(word)
            events.append(Say(word, bytes(audio.BYTES_PER_MS * word_ms), voiced))
        self.planned.append(PlannedReply([*events, Done()], after_s, step_s))

    def answers(
        self,
        *events: ReplyEvent | inputs.ReplyFailed,
        after_s: float = 0.3,
        step_s: float = 0.05,
    ) -> None:
        """Plan a reply event by event; it ends with `Done` or `ReplyFailed`, or never."""
        self.planned.append(PlannedReply(list(events), after_s, step_s))

    def calls(self, name: str, arguments: str = "{}") -> None:
        """Plan a function call."""
        self.answers(Call(0, name=name, delta=arguments), Call(0, final=True), Done())

    def take(self, note: outputs.Output) -> None:
        match note:
            case outputs.Put(item, after):
                ids = [known.id for known in self.history]
                self.history.insert(ids.index(after) + 1 if after else 0, item)
            case outputs.Drop(item_id):
                self.history = [item for item in self.history if item.id != item_id]
            case outputs.Cut(item_id, end_ms, text):
                self.cuts.append((item_id, end_ms, text))
            case outputs.Expect(item):
                self.expected.append(item)
            case outputs.Hear(pcm):
                self.heard_bytes += len(pcm)
            case outputs.GoneOut(item_id, samples):
                self.gone_out.append((item_id, samples))
            case outputs.Nudge(ask):
                self.nudges.append(ask)
            case outputs.Hush():
                self.hushes += 1


class Timeline:
    """One session with its user, client and engine. Times are in seconds from its start.

    `turn_scores` are the turn-end model's answers, `microphone` False sends no sound at all.
    """

    judges: ClassVar[list[Callable[[AnyServerEvent], None]]] = []
    """Called with each event that leaves; a judge raises where it objects."""

    def __init__(self, config: SessionConfig | None = None) -> None:
        self.engine = TimelineEngine()
        self.transcripts: list[str] = []
        self.turn_scores: list[float] = []
        self.turn_score_after_s = 0.1
        self.judged: list[outputs.ScoreTurn] = []
        self.microphone = True
        self.hypotheses: list[str] = []
        self.transcriptions: list[tuple[int, TranscriptionAsk]] = []
        """What the transcriber was asked: bytes of sound, and how."""
        self.translations: list[int] = []
        """Bytes of each segment that was to be translated; the engine's plans are the answers."""
        self.mirror = ClientMirror()
        self.sent: list[tuple[float, AnyServerEvent]] = []
        self.closed: outputs.Close | None = None
        self.spent: list[int] = []
        """Tokens that each ended response was counted with."""
        self.now = 0.0
        self.player = Player()
        """Plays where the session has its sound played: `SessionConfig.plays`."""
        self._heap: list[_Entry] = []
        self._count = 0
        self._speech: list[tuple[float, float]] = []
        self._audio_ms = 0
        self._ids: dict[str, int] = {}
        self.config = config or SessionConfig(id="sess_timeline", model="scripted")
        self.session = make_session(self.config, new_id=self._new_id, now=0.0)
        self._carry_out(self.session.open(0.0))

    def user_speaks(self, start_s: float, end_s: float) -> None:
        """The user's voice is heard from `start_s` to `end_s`."""
        self._speech.append((start_s, end_s))

    def hears(self, sound: Iterable[tuple[float, bytes]], speech: Callable[[bytes], float]) -> None:
        """Sound in place of the microphone's: pieces, each at its time, any lengths.

        They are cut into windows, and `speech` rates each, 0..1.
        """
        self.microphone = False
        windows = audio.Windows(WINDOW_MS * audio.RATE_HZ // 1000)
        for at_s, pcm in sound:
            for window in windows.push(pcm):
                self.enter(at_s, inputs.AudioReceived(window, speech(window)))

    def client_sends(self, at_s: float, event: Mapping[str, Any] | ClientEvent) -> None:
        """The client sends an event, given as on the wire or as a struct."""
        if isinstance(event, Mapping):
            self.enter(at_s, read(event, translation=self.config.type == "translation"))
        else:
            self.enter(at_s, inputs.Received(event))

    def model_does(self, at_s: float, *events: LiveEvent) -> None:
        """A full-duplex model does something unasked, in the live job that is open by now."""
        for event in events:
            self.enter(at_s, inputs.LiveEvent(self.engine.live_jobs[-1], event))

    def enter(self, at_s: float, entry: inputs.Input) -> None:
        """Any input at a time."""
        self._count += 1
        heapq.heappush(self._heap, (at_s, self._count, entry))

    def run(self, until_s: float) -> None:
        """Play until `until_s`: the microphone is open all the time, unless it is switched off."""
        self._record_until(until_s)
        while self._heap and self._heap[0][0] <= until_s:
            at, _, entry = heapq.heappop(self._heap)
            self._tick_before(at)
            self.now = at
            for news in self.player.news(at):
                self._carry_out(self.session.handle(news, at))
            self._carry_out(self.session.handle(entry, at))
        self._tick_before(until_s)
        self.now = until_s

    def types(self, but: Sequence[str] = ()) -> list[str]:
        """The wire names of the events sent so far, repeated deltas folded into one."""
        names: list[str] = []
        for _, event in self.sent:
            name = wire_name(event)
            folded = name.endswith(".delta") and name in names[-2:]
            if name not in but and not folded:
                names.append(name)
        return names

    def events(self, kind: type[Any]) -> list[Any]:
        """The events of one class, in order."""
        return [event for _, event in self.sent if isinstance(event, kind)]

    def _new_id(self, prefix: str) -> str:
        self._ids[prefix] = self._ids.get(prefix, 0) + 1
        return f"{prefix}_{self._ids[prefix]}"

    def _record_until(self, until_s: float) -> None:
        window = bytes(WINDOW_MS * audio.BYTES_PER_MS)
        while (self._audio_ms + WINDOW_MS) / 1000 <= until_s:
            middle_s = (self._audio_ms + WINDOW_MS / 2) / 1000
            voiced = any(start <= middle_s < end for start, end in self._speech)
            self._audio_ms += WINDOW_MS
            if not self.microphone:
                continue
            score = 1.0 if voiced else 0.0
            speech = score if self.session.scores_audio else None
            self.enter(self._audio_ms / 1000, inputs.AudioReceived(window, speech))

    def _tick_before(self, at_s: float) -> None:
        while (deadline := self.session.deadline) is not None and deadline <= at_s:
            self.now = max(self.now, deadline)
            self._carry_out(self.session.handle(inputs.Tick(), self.now))

    def _carry_out(self, batch: list[outputs.Output]) -> None:
        for output in batch:
            match output:
                case outputs.Send(event):
                    self.mirror.receive(event)
                    for judge in self.judges:
                        judge(event)
                    self.sent.append((self.now, event))
                case outputs.Play(response_id, item_id, pcm):
                    for wake_s in self.player.play(response_id, item_id, pcm, self.now):
                        self.enter(wake_s, inputs.Tick())
                case outputs.StopPlaying(response_id):
                    self.player.stop(response_id, self.now)
                case outputs.Respond(job, ask):
                    self.engine.asks.append(ask)
                    self._reply(job)
                case outputs.Live(job):
                    self.engine.live_jobs.append(job)
                case outputs.Unasked(_, ask):
                    self.engine.asks.append(ask)
                case outputs.Translate(job, pcm, _):
                    self.translations.append(len(pcm))
                    self._reply(job)
                case outputs.Transcribe(job, _, pcm, ask):
                    self.transcriptions.append((len(pcm), ask))
                    if ask.partial:
                        if self.hypotheses:
                            guess = Transcript(self.hypotheses.pop(0), 0.0)
                            self.enter(self.now + 0.1, inputs.Transcribed(job, guess))
                        continue
                    text = self.transcripts.pop(0) if self.transcripts else ""
                    seconds = audio.samples(pcm) / audio.RATE_HZ
                    self.enter(self.now + 0.2, inputs.Transcribed(job, Transcript(text, seconds)))
                case outputs.ScoreTurn(job, _):
                    self.judged.append(output)
                    if self.turn_scores:
                        result = inputs.TurnScored(job, self.turn_scores.pop(0))
                        self.enter(self.now + self.turn_score_after_s, result)
                case outputs.Cancel(job):
                    self.engine.cancelled.append(job)
                case outputs.Close():
                    self.closed = output
                case outputs.Spent(_, tokens):
                    self.spent.append(tokens)
                case _:
                    self.engine.take(output)

    def _reply(self, job: str) -> None:
        if not self.engine.planned:
            return
        plan = self.engine.planned.pop(0)
        at = self.now + plan.after_s
        for event in plan.events:
            entry: inputs.Input
            if isinstance(event, inputs.ReplyFailed):
                entry = msgspec.structs.replace(event, job=job)
            else:
                entry = inputs.ReplyEvent(job, event)
            self.enter(at, entry)
            at += plan.step_s


def read(event: Mapping[str, Any], *, translation: bool = False) -> inputs.Input:
    """What a transport makes of an event on the wire: the codec's view of it, or its refusal."""
    frame = msgspec.json.encode(event)
    try:
        if translation:
            return inputs.ReceivedTranslation(decode_translation_event(frame))
        return inputs.Received(decode_client_event(frame))
    except Refusal as refusal:
        return inputs.BadEvent(refusal.code, refusal.message, refusal.param, event_id_of(frame))


def wire_name(event: AnyServerEvent) -> str:
    """The `type` of an event."""
    return str(event.__struct_config__.tag)
