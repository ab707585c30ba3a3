"""Any order of events, any job speaking at any time: a pure client objects to nothing.

The state machine draws client events, windows of sound and engine events of every job ever
started, dead ones included. After each step the client's conversation must be the session's
and the engine's history a part of it in the same order.
"""

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from duologue.core import inputs, outputs
from duologue.core.rate_limits import Allowance
from duologue.core.settings import SessionConfig
from duologue.core.talk import Began, Call, Done, Say, Transcript
from duologue.events import ResponseDone
from duologue.testing.timeline import Timeline, read
from session_kit import add, check_usage, create, truncate, update, user

WINDOW = bytes(1536)

SESSION_CHANGES = [
    update(instructions="Be brief."),
    update(audio={"input": {"turn_detection": None}}),
    update(audio={"input": {"turn_detection": {"type": "server_vad"}}}),
    update(audio={"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}),
    update(
        audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}}
    ),
    update(
        audio={
            "input": {
                "turn_detection": {
                    "type": "server_vad",
                    "interrupt_response": False,
                    "idle_timeout_ms": 5000,
                }
            }
        }
    ),
    update(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}}),
    update(audio={"input": {"transcription": {"model": "whisper-1"}}}),
    update(audio={"output": {"voice": "cedar"}}),
]
REQUESTS = [
    create(),
    create(output_modalities=["text"]),
    create(conversation="none", metadata={"a": "b"}),
    create(conversation="none", input=[]),
    {"type": "response.cancel"},
    {"type": "input_audio_buffer.commit"},
    {"type": "input_audio_buffer.clear"},
]
ENGINE_EVENTS = [
    Began({"text": 40, "audio": 7}, {"text": 30}),
    Began({"text": 3}, {"text": 5, "image": 2}),  # an engine that cannot count
    Say("word ", bytes(4800), 4, tokens=2),
    Say("text only ", tokens=3),
    Say("", bytes(960), 3),
    Call(0, name="f", delta='{"a":'),
    Call(0, delta="1}", final=True),
    Call(1, name="g", delta="{}", final=True),
    Done(),
    Done(reason="length", tokens=1),
]


class AnySession(RuleBasedStateMachine):
    config = SessionConfig(id="sess_any", model="scripted")

    def __init__(self) -> None:
        super().__init__()
        self.t = Timeline(self.config)
        self.jobs: list[str] = ["job_never"]
        self.ids: list[str] = ["item_never"]
        self.open_at = 0.0

    def enter(self, entry: inputs.Input) -> None:
        self.t.now += 0.02
        batch = self.t.session.handle(entry, self.t.now)
        for output in batch:
            if isinstance(output, outputs.Respond | outputs.Transcribe | outputs.ScoreTurn):
                self.jobs.append(output.job)
            if isinstance(output, outputs.Respond):
                assert self.t.now >= self.open_at, "begun beyond the limits"
        self.t._carry_out(batch)
        self.ids = ["item_never", *self.t.mirror.order]

    def client(self, event: dict[str, Any]) -> None:
        self.enter(read(event))

    @rule(voiced=st.booleans(), count=st.integers(1, 20))
    def sound(self, voiced: bool, count: int) -> None:
        for _ in range(count):
            scored = self.t.session.scores_audio
            self.enter(inputs.AudioReceived(WINDOW, float(voiced) if scored else None))

    @rule(event=st.sampled_from([*SESSION_CHANGES, *REQUESTS]))
    def client_sends(self, event: dict[str, Any]) -> None:
        self.client(event)

    @rule(place=st.integers(0, 50), named=st.booleans())
    def client_adds(self, place: int, named: bool) -> None:
        anchor = [None, "root", *self.ids][place % (len(self.ids) + 2)]
        item_id = {"id": f"mine_{place}"} if named else {}
        self.client(add(user("hello", **item_id), previous_item_id=anchor))

    @rule(place=st.integers(0, 50))
    def client_deletes(self, place: int) -> None:
        item_id = self.ids[place % len(self.ids)]
        self.client({"type": "conversation.item.delete", "item_id": item_id})

    @rule(place=st.integers(0, 50))
    def client_retrieves(self, place: int) -> None:
        item_id = self.ids[place % len(self.ids)]
        self.client({"type": "conversation.item.retrieve", "item_id": item_id})

    @rule(place=st.integers(0, 50), end_ms=st.integers(0, 400))
    def client_truncates(self, place: int, end_ms: int) -> None:
        self.client(truncate(self.ids[place % len(self.ids)], end_ms))

    @rule(place=st.integers(0, 50))
    def client_refers_to(self, place: int) -> None:
        reference = {"type": "item_reference", "id": self.ids[place % len(self.ids)]}
        self.client(create(conversation="none", input=[reference]))

    @rule(place=st.integers(0, 50), event=st.sampled_from(ENGINE_EVENTS))
    def engine_says(self, place: int, event: Any) -> None:
        self.enter(inputs.ReplyEvent(self.jobs[-1 - place % len(self.jobs)], event))

    @rule(place=st.integers(0, 50))
    def engine_fails(self, place: int) -> None:
        job = self.jobs[-1 - place % len(self.jobs)]
        self.enter(inputs.ReplyFailed(job, "engine_error", "broken"))

    @rule(place=st.integers(0, 50), text=st.sampled_from(["", "hello"]))
    def transcriber_says(self, place: int, text: str) -> None:
        job = self.jobs[-1 - place % len(self.jobs)]
        self.enter(inputs.Transcribed(job, Transcript(text, 0.5)))

    @rule(wait_s=st.sampled_from([-1.0, 0.0, 0.5, 3600.0]))
    def limits_change(self, wait_s: float) -> None:
        self.open_at = self.t.now + wait_s
        self.enter(inputs.AllowanceChanged(Allowance(self.open_at, "requests", 1)))

    @rule(place=st.integers(0, 50), probability=st.floats(0, 1))
    def turn_end_says(self, place: int, probability: float) -> None:
        job = self.jobs[-1 - place % len(self.jobs)]
        self.enter(inputs.TurnScored(job, probability))

    @rule()
    def nothing(self) -> None:
        self.enter(inputs.Tick())

    @rule(early=st.booleans())
    def the_deadline_comes(self, early: bool) -> None:
        deadline = self.t.session.deadline
        if deadline is None or deadline > self.t.now + 60:  # the end of the session is elsewhere
            return
        self.t.now = max(self.t.now, deadline - 0.04 if early else deadline)
        self.enter(inputs.Tick())
        following = self.t.session.deadline
        if not early:
            assert following is None or following > self.t.now, "a tick that changes nothing"

    @invariant()
    def the_client_has_the_session_s_conversation(self) -> None:
        assert self.t.mirror.order == [entry.id for entry in self.t.session._conversation]

    @invariant()
    def the_engine_has_a_part_of_it_in_order(self) -> None:
        known = [item.id for item in self.t.engine.history]
        assert known == [item_id for item_id in self.t.mirror.order if item_id in known]

    @invariant()
    def cuts_and_events_never_outgrow_the_sound(self) -> None:
        for entry in self.t.session._conversation:
            if entry.ledger:
                assert entry.ledger.sent <= entry.ledger.generated
                assert entry.ledger.end <= entry.ledger.generated
                assert entry.ledger.text.startswith(entry.ledger.heard_text)

    @invariant()
    def every_usage_adds_up(self) -> None:
        for event in self.t.events(ResponseDone):
            check_usage(event.response.usage)

    @invariant()
    def a_turn_is_judged_only_while_it_is_spoken(self) -> None:
        assert self.t.session._turn.speaking or self.t.session._turn._judging is None

    def teardown(self) -> None:
        for job in self.jobs:
            self.enter(inputs.ReplyEvent(job, Done()))
        assert self.t.mirror.responses == {}, "a response that never ended"
        done = [event.response.id for event in self.t.events(ResponseDone)]
        assert len(done) == len(set(done)) == len(self.t.spent)


class AnySessionThatAnswersLate(AnySession):
    config = SessionConfig(id="sess_any", model="scripted", turn_during_response="answer")


TestAnySession = AnySession.TestCase
TestAnySessionThatAnswersLate = AnySessionThatAnswersLate.TestCase
TestAnySession.settings = TestAnySessionThatAnswersLate.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
