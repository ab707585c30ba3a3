"""Any order of events, any job speaking at any time: a pure client objects to nothing.

The state machine draws client events of every type with any fields, windows of sound, every
input there is, and engine events of every job ever started, dead ones included. After each step
the client's conversation must be the session's and the engine's history a part of it in the
same order. A new type of event or input takes part without a change here.
"""

from typing import Any, ClassVar, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from drawing import drawn
from duologue.core import inputs, outputs
from duologue.core.rate_limits import Allowance
from duologue.core.settings import SessionConfig
from duologue.core.talk import Began, Call, Done, Failed, Floor, Heard, Say, Transcript
from duologue.events import (
    CLIENT_EVENTS,
    InputAudioBufferAppend,
    InputAudioBufferSpeechStarted,
    MessageItem,
    ResponseDone,
)
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
    update(audio={"input": {"transcription": {"model": "whisper-1", "delay": "minimal"}}}),
    update(audio={"input": {"transcription": {"model": "gpt-realtime-whisper"}}}),
    update(audio={"output": {"voice": "cedar"}}),
]
REQUESTS = [
    create(),
    create(output_modalities=["text"]),
    create(max_output_tokens=3),
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

INPUTS: tuple[type[inputs.Input], ...] = get_args(inputs.Input)
STARTS = (outputs.Respond, outputs.Live, outputs.Transcribe, outputs.ScoreTurn)
LAST = (inputs.Dismissed, inputs.Disconnected)
"""Inputs after which nothing but late results comes."""
CLIENT_KINDS = [kind for kind in CLIENT_EVENTS.values() if kind is not InputAudioBufferAppend]


class AnySession(RuleBasedStateMachine):
    config = SessionConfig(id="sess_any", model="scripted")
    entered: ClassVar[set[type]] = set()
    """The types of every input and client event that were tried, over all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.t = Timeline(self.config)
        self.jobs: list[str] = ["job_never"]
        self.ids: list[str] = ["item_never"]
        self.open_at = 0.0
        self.untold = 0
        """Responses that the end of the session cut off."""

    def enter(self, entry: inputs.Input) -> None:
        self.t.now += 0.02
        self.entered.add(type(entry))
        batch = self.t.session.handle(entry, self.t.now)
        for output in batch:
            if isinstance(output, STARTS):
                self.jobs.append(output.job)
            if isinstance(output, outputs.Live):
                self.live_job = output.job
            if isinstance(output, outputs.Respond | outputs.Unasked):
                assert self.t.now >= self.open_at, "begun beyond the limits"
        self.t._carry_out(batch)
        self.ids = ["item_never", *self.t.mirror.order]

    def client(self, event: dict[str, Any]) -> None:
        self.enter(read(event))

    @initialize(spoken=st.booleans(), heard=st.booleans(), calls=st.booleans())
    def a_conversation_has_begun(self, spoken: bool, heard: bool, calls: bool) -> None:
        if heard:
            self.sound(voiced=True, count=8)
            self.sound(voiced=False, count=30)
        else:
            self.client(add(user("hello")))
            self.client(create(output_modalities=["audio" if spoken else "text"]))
        piece = Call(0, name="f", delta="{}", final=True) if calls else Say("one ", bytes(9600), 4)
        self.enter(inputs.ReplyEvent(self.jobs[-1], piece))

    @rule(alone=st.booleans())
    def client_asks(self, alone: bool) -> None:
        self.client(create(conversation="none" if alone else "auto"))

    @rule(event=drawn(inputs.ReplyEvent))
    def the_latest_job_speaks(self, event: inputs.ReplyEvent) -> None:
        self.enter(inputs.ReplyEvent(self.jobs[-1], event.event))

    @rule(voiced=st.booleans(), count=st.integers(1, 20))
    def sound(self, voiced: bool, count: int) -> None:
        for _ in range(count):
            scored = self.t.session.scores_audio
            self.enter(inputs.AudioReceived(WINDOW, float(voiced) if scored else None))

    @rule(event=st.sampled_from([*SESSION_CHANGES, *REQUESTS]))
    def client_sends(self, event: dict[str, Any]) -> None:
        self.client(event)

    def client_sends_drawn(self, event: Any) -> None:
        entry = read(msgspec.to_builtins(event))
        if isinstance(entry, inputs.Received):
            self.entered.add(type(entry.event))
        self.enter(entry)

    def drawn_enters(self, entry: Any) -> None:
        if isinstance(entry, inputs.AudioReceived) and not self.t.session.scores_audio:
            entry = inputs.AudioReceived(entry.pcm)
        self.enter(entry)

    @precondition(lambda self: len(self.jobs) > 3)
    @rule(entry=st.one_of([drawn(kind) for kind in LAST]))
    def it_ends(self, entry: Any) -> None:
        if isinstance(entry, inputs.Disconnected):  # nobody is told of the end of a response
            self.untold += len(self.t.mirror.responses)
            self.t.mirror.responses.clear()
        self.enter(entry)

    @rule(place=st.integers(0, 50), named=st.booleans())
    def client_adds(self, place: int, named: bool) -> None:
        anchor = [None, "root", *self.ids][place % (len(self.ids) + 2)]
        item_id = {"id": f"mine_{place}"} if named else {}
        self.client(add(user("hello", **item_id), previous_item_id=anchor))

    @rule(place=st.integers(0, 50))
    def client_adds_what_is_there(self, place: int) -> None:
        announced = self.t.events(InputAudioBufferSpeechStarted)
        taken = [*self.ids, *(event.item_id for event in announced)]
        self.client(add(user("hello", id=taken[place % len(taken)])))

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

    @rule(wait_s=st.sampled_from([-1.0, -1.0, 0.0, 0.1]))
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
    def the_client_s_items_are_the_session_s(self) -> None:
        for entry in self.t.session._conversation:
            seen = self.t.mirror.items[entry.id]
            assert type(seen) is type(entry.item) and seen.status == entry.item.status
            if not isinstance(entry.item, MessageItem):
                assert seen == entry.item or seen.status == "in_progress"

    @invariant()
    def jobs_have_names_of_their_own(self) -> None:
        assert len(self.jobs) == len(set(self.jobs))

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
        assert len(done) == len(set(done)) == len(self.t.spent) - self.untold


for kind in CLIENT_KINDS:
    sends = rule(event=drawn(kind))(AnySession.client_sends_drawn)
    setattr(AnySession, f"client_sends_{kind.__name__}", sends)
for kind in INPUTS:
    if kind not in (inputs.Received, inputs.AllowanceChanged, *LAST):
        enters = rule(entry=drawn(kind))(AnySession.drawn_enters)
        setattr(AnySession, f"{kind.__name__}_enters", enters)


class AnySessionThatAnswersLate(AnySession):
    config = SessionConfig(id="sess_any", model="scripted", turn_during_response="answer")


FAILED = Failed("engine_error", "The voice broke.")


class AnySessionOfAModelThatOwnsTheFloor(AnySession):
    """The live job does anything at any time: floor events without their pair, sayings outside a
    reply, ends and failures."""

    config = SessionConfig(id="sess_any", model="scripted", duplex=True)

    def __init__(self) -> None:
        super().__init__()
        self.live_job = self.t.engine.live_jobs[-1]

    @rule(
        kind=st.sampled_from(["user_starts", "user_stops", "reply_starts", "yields"]),
        ago_ms=st.integers(-500, 5000),
    )
    def the_model_takes_or_gives_the_floor(self, kind: Any, ago_ms: int) -> None:
        now_ms = self.t.session._turn.position_ms  # type: ignore[union-attr]
        self.enter(inputs.LiveEvent(self.live_job, Floor(kind, now_ms - ago_ms)))

    @rule(event=st.sampled_from([*ENGINE_EVENTS, Heard("word "), Heard(final=True), FAILED]))
    def the_model_does(self, event: Any) -> None:
        self.enter(inputs.LiveEvent(self.live_job, event))

    @rule(event=st.sampled_from(ENGINE_EVENTS))
    def the_model_replies(self, event: Any) -> None:
        self.enter(inputs.LiveEvent(self.live_job, Floor("reply_starts", 0)))
        self.enter(inputs.LiveEvent(self.live_job, event))

    @rule(after_s=st.sampled_from([0.0, 2.0, 40.0]))
    def the_model_is_gone(self, after_s: float) -> None:
        self.enter(inputs.LiveFailed(self.live_job, "engine_error", "gone"))
        self.t.now += after_s

    def teardown(self) -> None:
        self.enter(inputs.LiveFailed(self.live_job, "engine_error", "gone"))
        super().teardown()


class AnyCallWithAModelThatOwnsTheFloor(AnySessionOfAModelThatOwnsTheFloor):
    config = SessionConfig(id="sess_any", model="scripted", duplex=True, plays=True)


DUPLEX = (AnySessionOfAModelThatOwnsTheFloor, AnyCallWithAModelThatOwnsTheFloor)


def play(machine: type[AnySession], max_examples: int) -> None:
    profile = settings(
        max_examples=max_examples,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )
    run_state_machine_as_test(machine, settings=profile)


@pytest.mark.conformance("C-138", "C-197", "C-206")
def test_any_order_of_anything_is_a_session_that_no_client_objects_to() -> None:
    for machine in (AnySession, AnySessionThatAnswersLate):
        play(machine, 75)
    for duplex in DUPLEX:
        play(duplex, 50)
    assert AnySession.entered >= {*INPUTS, *CLIENT_KINDS}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_more_orders_of_anything_are_too() -> None:
    for machine in (AnySession, AnySessionThatAnswersLate):
        play(machine, 2500)
    for machine in DUPLEX:
        play(machine, 300)
