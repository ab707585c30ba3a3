"""Responses beside each other, their own settings, and function calls that come and go."""

import base64
import json
from typing import Any

import pytest

from duologue.core.settings import SessionConfig
from duologue.core.talk import Call, Done, Say, TranscriptionAsk, Truncation
from duologue.core.transcription_models import LOGPROBS
from duologue.events import (
    ConversationItemAdded,
    ConversationItemRetrieved,
    Error,
    ResponseCreated,
    ResponseDone,
    ResponseFunctionCallArgumentsDelta,
    ResponseFunctionCallArgumentsDone,
    ResponseOutputItemDone,
    SessionCreated,
    SessionUpdated,
    encode_server_event,
)
from duologue.testing.timeline import Timeline
from oracle import validate_server_event
from session_kit import CLOSING, add, codes, create, update, user

SMALL = SessionConfig(
    id="sess_small", model="scripted", context_tokens=4096, max_output_tokens=1024
)


def result(call_id: str, output: str = "sunny", **fields: Any) -> dict[str, Any]:
    return add({"type": "function_call_output", "call_id": call_id, "output": output, **fields})


def retrieve(item_id: str) -> dict[str, Any]:
    return {"type": "conversation.item.retrieve", "item_id": item_id}


@pytest.mark.conformance("C-148", "C-149", "C-150", "C-151")
def test_out_of_band_responses_with_their_own_input_run_beside_the_default_one() -> None:
    t = Timeline()
    t.client_sends(0.05, add(user("Good day", id="u")))
    for text in ("In the conversation.", "First beside.", "Second beside."):
        t.engine.says(text, step_s=0.2)
    t.client_sends(0.1, create())
    extra = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]}
    reference = {"type": "item_reference", "id": "u"}
    t.client_sends(0.2, create(conversation="none", input=[reference, extra]))
    t.client_sends(0.3, create(conversation="none", input=[], metadata={"n": "2"}))
    t.run(5.0)
    created = [event.response for event in t.events(ResponseCreated)]
    assert [r.conversation_id is None for r in created] == [False, True, True]
    assert len({r.id for r in created}) == 3
    assert created[2].metadata == {"n": "2"}
    _, first, second = t.engine.asks
    assert [item.parts[0].text for item in first.context or ()] == ["Good day", "x"]
    assert second.context == () and not second.keep
    assert {e.response.status for e in t.events(ResponseDone)} == {"completed"}
    assert [e.item.role for e in t.events(ConversationItemAdded)] == ["user", "assistant"]
    assert [item.role for item in t.engine.history] == ["user", "assistant"]


@pytest.mark.conformance("C-148")
def test_empty_input_ignores_history_and_the_answer_joins_the_conversation() -> None:
    t = Timeline()
    t.client_sends(0.05, add(user("Good day", id="u")))
    t.engine.says("Hm?")
    t.client_sends(0.1, create(input=[]))
    t.run(2.0)
    assert t.engine.asks[0].context == () and t.engine.asks[0].keep
    answer = t.events(ResponseDone)[0].response.output[0]
    assert t.mirror.order == ["u", answer.id]
    assert t.events(ConversationItemAdded)[1].previous_item_id == "u"


def test_what_was_said_out_of_band_can_be_retrieved_and_referred_to() -> None:
    """GAP-21; deleted items cannot."""
    t = Timeline()
    t.engine.says("Beside it.", word_ms=100)
    t.engine.says("About that.")
    t.client_sends(0.05, add(user("Good day", id="u")))
    t.client_sends(0.1, create(conversation="none"))
    t.run(1.0)
    beside = t.events(ResponseDone)[0].response.output[0]
    t.client_sends(1.1, retrieve(beside.id))
    t.client_sends(
        1.2, create(conversation="none", input=[{"type": "item_reference", "id": beside.id}])
    )
    t.client_sends(1.3, {"type": "conversation.item.delete", "item_id": "u"})
    t.client_sends(1.4, create(conversation="none", input=[{"type": "item_reference", "id": "u"}]))
    t.client_sends(1.5, add(user("taken", id=beside.id)))
    t.run(2.0)
    sound = t.events(ConversationItemRetrieved)[0].item.content[0]
    assert sound.transcript == "Beside it." and len(sound.audio) == 200 * 48
    context = t.engine.asks[1].context
    assert context is not None and context[0].parts[0].text == "Beside it."
    assert codes(t) == ["invalid_value", "item_create_duplicate_item_id"]
    assert t.events(Error)[0].error.param == "response.input[0].id"
    assert t.mirror.order == []


@pytest.mark.conformance("C-146", "C-147")
def test_every_setting_of_a_response_is_its_own() -> None:
    t = Timeline()
    tools = [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}]
    t.client_sends(0.05, update(instructions="Be brief.", parallel_tool_calls=True))
    t.engine.says("One.")
    t.engine.says("Two.")
    own = {
        "instructions": "Rhyme.",
        "tools": tools,
        "tool_choice": {"type": "function", "name": "g"},
        "parallel_tool_calls": False,
        "output_modalities": ["text"],
        "max_output_tokens": 7,
        "reasoning": {"effort": "low"},
        "audio": {"output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "cedar"}},
    }
    t.client_sends(0.1, create(**own))
    t.client_sends(2.0, create())
    t.run(4.0)
    first, second = t.engine.asks
    assert (first.instructions, first.tool_choice, first.voice) == ("Rhyme.", "function:g", "cedar")
    assert (first.parallel_calls, first.speak, first.max_tokens) == (False, False, 7)
    assert (second.instructions, second.tools, second.tool_choice) == ("Be brief.", (), "auto")
    assert (second.parallel_calls, second.speak, second.max_tokens) == (True, True, None)
    shown = t.events(ResponseCreated)[0].response
    assert (shown.output_modalities, shown.max_output_tokens) == (("text",), 7)
    assert shown.audio.output.voice == "cedar"
    assert t.events(SessionUpdated)[0].session.tools == ()


@pytest.mark.conformance("C-144")
def test_a_call_cut_off_by_the_limit_is_incomplete_and_never_done() -> None:
    t = Timeline()
    t.engine.answers(Call(0, name="f", delta='{"a":1}'), Done(reason="length"))
    t.client_sends(0.1, create())
    t.run(1.0)
    response = t.events(ResponseDone)[0].response
    assert (response.status, response.status_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output[0].status == "incomplete"
    assert t.events(ResponseFunctionCallArgumentsDone) == []
    assert t.events(ResponseOutputItemDone)[0].item.status == "incomplete"
    assert t.engine.history == []


@pytest.mark.conformance("C-164", "C-165")
def test_talk_goes_on_while_a_call_waits_and_its_late_output_is_taken() -> None:
    t = Timeline()
    t.engine.calls("weather")
    t.engine.says("One moment.")
    t.engine.says("While we wait, hello.")
    t.engine.says("It is sunny.")
    t.client_sends(0.1, create())
    t.client_sends(1.0, create())
    t.user_speaks(2.0, 2.5)
    t.run(5.0)
    call = t.events(ResponseDone)[0].response.output[0]
    t.client_sends(5.1, result(call.call_id))
    t.run(6.0)
    assert len(t.events(ResponseCreated)) == 3  # the output alone starts none
    t.client_sends(6.1, create())
    t.run(8.0)
    assert [item.role for item in t.engine.history] == [
        *("call", "assistant", "user", "assistant", "result", "assistant")
    ]
    assert t.engine.history[4].call_id == call.call_id and codes(t) == []


def test_an_output_may_come_before_its_call_is_complete() -> None:
    t = Timeline()
    t.engine.answers(
        Call(0, name="f", delta="{"), Call(0, delta="}", final=True), Done(), step_s=0.5
    )
    t.client_sends(0.1, create())
    t.run(0.5)
    call = t.events(ConversationItemAdded)[0].item
    t.client_sends(0.6, result(call.call_id))
    t.run(3.0)
    assert [item.role for item in t.engine.history] == ["call", "result"]
    assert codes(t) == []


def test_a_second_output_for_one_call_is_added_after_the_first() -> None:
    t = Timeline()
    call = {"type": "function_call", "name": "f", "call_id": "c", "arguments": "{}"}
    t.client_sends(0.1, add(call))
    t.client_sends(0.2, result("c", "working on it"))
    t.client_sends(0.3, result("c", "done"))
    t.run(0.4)
    outputs = [i.parts[0].text for i in t.engine.history if i.role == "result"]
    assert outputs == ["working on it", "done"] and codes(t) == []


@pytest.mark.conformance("C-116")
@pytest.mark.parametrize("deleted", [True, False])
def test_an_output_for_a_call_that_is_not_there_is_refused(deleted: bool) -> None:
    t = Timeline()
    call = {"type": "function_call", "id": "i", "name": "f", "call_id": "c", "arguments": "{}"}
    if deleted:
        t.client_sends(0.1, add(call))
        t.client_sends(0.2, {"type": "conversation.item.delete", "item_id": "i"})
    t.client_sends(0.3, result("c"))
    t.run(0.4)
    error = t.events(Error)[0].error
    assert (error.code, error.param) == ("invalid_tool_call_id", "item.call_id")
    assert "'c' not found" in error.message and t.engine.history == []


@pytest.mark.conformance("C-161", "C-166", "C-167")
def test_words_and_calls_in_parallel_have_their_own_index_and_call_id() -> None:
    t = Timeline()
    t.engine.answers(
        Say("One moment.", bytes(4800), 11),
        Call(0, name="a", delta="{}", final=True),
        Call(1, name="b", delta="{}", final=True),
        Done(),
    )
    t.client_sends(0.1, create())
    t.run(2.0)
    done = t.events(ResponseOutputItemDone)
    assert [(e.output_index, e.item.status) for e in done] == [(n, "completed") for n in range(3)]
    assert done[1].item.call_id != done[2].item.call_id
    added = [e.item for e in t.events(ConversationItemAdded)][1:]
    assert [(i.name, i.arguments) for i in added] == [("a", ""), ("b", "")]
    assert [i.call_id for i in added] == [e.item.call_id for e in done[1:]]


def test_an_item_deleted_while_it_is_generated_stays_deleted_though_its_id_is_used_again() -> None:
    """GAP-12: the response streams on, and history omits it."""
    t = Timeline()
    t.engine.says("On and on it goes.", step_s=0.3)
    t.client_sends(0.1, create())
    t.run(0.5)
    item_id = t.mirror.order[0]
    t.client_sends(0.6, {"type": "conversation.item.delete", "item_id": item_id})
    t.client_sends(0.7, add(user("mine", id=item_id)))
    t.run(4.0)
    assert t.events(ResponseDone)[0].response.status == "completed"
    assert [(i.role, i.parts[0].text) for i in t.engine.history] == [("user", "mine")]
    assert t.mirror.items[item_id].role == "user"


@pytest.mark.conformance("C-065")
@pytest.mark.parametrize(
    ("truncation", "asked"),
    [
        ("auto", Truncation()),
        ("disabled", Truncation(allowed=False)),
        ({"type": "retention_ratio", "retention_ratio": 0.8}, Truncation(kept_share=0.8)),
        (
            {
                "type": "retention_ratio",
                "retention_ratio": 0.5,
                "token_limits": {"post_instructions": 2000},
            },
            Truncation(kept_share=0.5, limit_tokens=2000),
        ),
    ],
)
def test_truncation_is_echoed_and_asked_of_the_engine(truncation: Any, asked: Truncation) -> None:
    t = Timeline(SMALL)
    t.client_sends(0.1, update(truncation=truncation))
    t.client_sends(0.2, create())
    t.run(0.3)
    assert t.engine.asks[0].truncation == asked
    shown = t.events(SessionUpdated)[0].session.truncation
    assert shown == truncation or shown.retention_ratio == truncation["retention_ratio"]


RATIO = {"type": "retention_ratio", "retention_ratio": 0.5}


@pytest.mark.conformance("C-065")
@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        (
            {"truncation": {**RATIO, "token_limits": {"post_instructions": 3073}}},
            "integer_above_max_value",
            "session.truncation.token_limits.post_instructions",
        ),
        (
            {
                "truncation": {**RATIO, "token_limits": {"post_instructions": 100}},
                "max_output_tokens": 4000,
            },
            "integer_above_max_value",
            "session.truncation.token_limits.post_instructions",
        ),
        (
            {"truncation": {**RATIO, "retention_ratio": 1.1}},
            "decimal_above_max_value",
            "session.truncation.retention_ratio",
        ),
        ({"max_output_tokens": 4097}, "integer_above_max_value", "session.max_output_tokens"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "session.max_output_tokens"),
    ],
)
def test_limits_that_cannot_be_are_refused_by_path(
    change: dict[str, Any], code: str, param: str
) -> None:
    t = Timeline(SMALL)
    t.client_sends(0.1, {**update(instructions="New.", **change), "event_id": "mine"})
    t.client_sends(0.2, update())
    t.run(0.3)
    error = t.events(Error)[0].error
    assert (error.code, error.param, error.event_id) == (code, param, "mine")
    assert t.events(SessionUpdated)[0].session == t.events(SessionCreated)[0].session


@pytest.mark.conformance("C-064")
@pytest.mark.parametrize("limit", [1, 4096, "inf"])
def test_limits_on_output_that_fit_the_window_are_taken(limit: Any) -> None:
    t = Timeline(SMALL)
    t.client_sends(0.1, update(max_output_tokens=limit))
    t.client_sends(0.2, create())
    t.client_sends(0.3, {**create(max_output_tokens=5000, conversation="none"), "event_id": "x"})
    t.run(0.4)
    assert t.events(SessionUpdated)[0].session.max_output_tokens == limit
    assert t.engine.asks[0].max_tokens == (None if limit == "inf" else limit)
    error = t.events(Error)[0].error
    assert (error.param, error.event_id) == ("response.max_output_tokens", "x")
    assert len(t.engine.asks) == 1


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh"])
def test_reasoning_effort_is_shown_once_somebody_has_set_it(effort: str) -> None:
    t = Timeline()
    t.client_sends(0.1, update(reasoning={"effort": effort}))
    t.client_sends(0.2, update(reasoning={"effort": "none"}))
    t.run(0.3)
    assert not t.events(SessionCreated)[0].session.reasoning
    assert t.events(SessionUpdated)[0].session.reasoning.effort == effort
    assert t.events(Error)[0].error.param == "session.reasoning.effort"


def test_the_engine_is_told_how_hard_to_think_and_how_to_write_the_user_down() -> None:
    t = Timeline()
    for text in ("One.", "Two.", "Three."):
        t.engine.says(text)
    t.client_sends(0.1, create())
    t.client_sends(
        2.0, update(reasoning={}, audio={"input": {"transcription": {"model": "whisper-1"}}})
    )
    t.client_sends(2.1, create(reasoning={"effort": "low"}))
    t.client_sends(4.0, update(reasoning={"effort": "high"}, include=[LOGPROBS]))
    t.client_sends(4.1, create())
    t.run(6.0)
    plain, low, high = t.engine.asks
    assert (plain.reasoning, plain.transcription) == (None, None)
    assert (low.reasoning, low.transcription) == ("low", TranscriptionAsk("whisper-1"))
    assert high.reasoning == "high"
    assert high.transcription == TranscriptionAsk("whisper-1", logprobs=True)


@pytest.mark.conformance("C-062")
def test_empty_tools_and_instructions_clear() -> None:
    t = Timeline()
    t.client_sends(0.1, update(tools=[{"type": "function", "name": "f"}], instructions="x"))
    t.client_sends(0.2, update(tools=[], instructions=""))
    t.run(0.3)
    full, empty = (e.session for e in t.events(SessionUpdated))
    assert (len(full.tools), full.instructions) == (1, "x")
    assert (empty.tools, empty.instructions) == ((), "")


@pytest.mark.conformance("C-127", "C-130", "C-138")
def test_a_response_begins_empty_and_ends_once() -> None:
    t = Timeline()
    t.engine.says("One two.")
    t.client_sends(0.1, {"type": "response.create"})
    t.run(2.0)
    created = t.events(ResponseCreated)[0].response
    assert (created.status, created.output) == ("in_progress", ())
    assert created.usage is None and created.status_details is None
    assert [e.response.id for e in t.events(ResponseDone)] == [created.id]


@pytest.mark.conformance("C-133", "C-134", "C-135", "C-136")
@pytest.mark.parametrize("modality", ["text", "audio"])
def test_parts_and_deltas_name_their_place_and_add_up(modality: str) -> None:
    t = Timeline()
    t.engine.says("One two three.", word_ms=100)
    t.client_sends(0.1, create(output_modalities=[modality]))
    t.run(2.0)
    events = [json.loads(encode_server_event(event)) for _, event in t.sent]
    for event in events:
        validate_server_event(json.dumps(event))
    response = events[-1]["response"]
    item = response["output"][0]
    inside = [e for e in events if e["type"].startswith(("response.content", "response.output_"))]
    parts = [e for e in inside if "item" not in e]
    place = {"response_id": response["id"], "item_id": item["id"]}
    assert len(parts) > 4
    assert all(place.items() <= e.items() for e in parts)
    assert all((e["output_index"], e["content_index"]) == (0, 0) for e in parts)
    assert {e["part"]["type"] for e in parts if "part" in e} == {modality}
    assert item["content"][0]["type"] == f"output_{modality}"
    words = "response.output_text" if modality == "text" else "response.output_audio_transcript"
    key = "text" if modality == "text" else "transcript"
    said = "".join(e["delta"] for e in events if e["type"] == f"{words}.delta")
    done = next(e for e in events if e["type"] == f"{words}.done")
    assert said == done[key] == item["content"][0][key] == "One two three."
    types = [e["type"] for e in events]
    sound = [e for e in events if e["type"] == "response.output_audio.delta"]
    samples = sum(len(base64.b64decode(e["delta"])) for e in sound) // 2
    if modality == "text":
        assert samples == 0 and "response.output_audio.done" not in types
    else:
        assert samples == 300 * 24
        last = max(n for n, e in enumerate(events) if e["type"] == "response.output_audio.delta")
        assert types.index("response.output_audio.done") > last


@pytest.mark.conformance("C-163", "C-162")
def test_arguments_add_up_to_json_and_the_item_is_in_the_response() -> None:
    t = Timeline()
    pieces = ['{"ci', 'ty":"Par', 'is"}']
    t.engine.answers(
        *(Call(0, name="weather" if n == 0 else "", delta=p) for n, p in enumerate(pieces)),
        Call(0, final=True),
        Done(),
    )
    t.client_sends(0.1, create())
    t.run(2.0)
    deltas = "".join(e.delta for e in t.events(ResponseFunctionCallArgumentsDelta))
    done = t.events(ResponseFunctionCallArgumentsDone)[0]
    item = t.events(ResponseOutputItemDone)[0].item
    assert deltas == done.arguments == item.arguments == '{"city":"Paris"}'
    assert (done.name, done.call_id) == ("weather", item.call_id)
    assert item.status == "completed"
    assert t.events(ResponseDone)[0].response.output == (item,)


@pytest.mark.conformance("C-141", "C-126")
def test_a_cancelled_response_closes_its_item_and_new_items_can_come_meanwhile() -> None:
    t = Timeline()
    t.engine.says("On and on it goes.", step_s=0.3)
    t.client_sends(0.1, create())
    t.client_sends(0.5, add(user("By the way.")))
    t.client_sends(0.8, {"type": "response.cancel"})
    t.run(3.0)
    assert t.types()[-6:] == CLOSING
    response = t.events(ResponseDone)[0].response
    assert (response.status, response.status_details.reason) == ("cancelled", "client_cancelled")
    assert response.output[0].status == "incomplete"
    assert [item.role for item in t.engine.history] == ["assistant", "user"] and codes(t) == []


def test_what_an_engine_adds_to_a_call_that_is_over_is_left_out() -> None:
    t = Timeline()
    t.engine.answers(
        Call(0, name="look", delta="{}"), Call(0, final=True), Call(0, delta="{}"), Done()
    )
    t.client_sends(0.1, update(tools=[{"type": "function", "name": "look"}]))
    t.client_sends(0.2, create())
    t.run(2.0)
    (done,) = t.events(ResponseDone)
    (item,) = done.response.output
    assert (item.arguments, done.response.status) == ("{}", "completed") and codes(t) == []
