"""Upstream events of one response and the reply events that follow from them."""

import base64
import json
from typing import Any

import pytest

from duologue.core.talk import Began, Call, Done, ReplyEvent, Say
from duologue.engines.pace import Pace
from duologue.engines.realtime.reply import Reply
from duologue.engines.realtime.wire import decode
from duologue.errors import EngineFault

SECOND = bytes(48_000)
MESSAGE = {"id": "item_1", "type": "message"}
CALL = {"id": "item_2", "type": "function_call", "name": "look", "call_id": "call_1"}


def take(reply: Reply, kind: str, **fields: Any) -> list[ReplyEvent]:
    event = decode(json.dumps({"type": f"response.{kind}", **fields}))
    return list(reply.take(event)) if event else []


def words(reply: Reply, text: str, item_id: str = "item_1") -> list[ReplyEvent]:
    return take(reply, "output_audio_transcript.delta", item_id=item_id, delta=text)


def sound(reply: Reply, pcm: bytes, item_id: str = "item_1") -> list[ReplyEvent]:
    delta = base64.b64encode(pcm).decode()
    return take(reply, "output_audio.delta", item_id=item_id, delta=delta)


def test_words_are_voiced_by_the_sound_that_follows_them_where_the_upstream_aligns_them() -> None:
    reply = Reply(None)
    assert words(reply, "It is") == [Say("It is", tokens=1)]
    assert sound(reply, SECOND) == [Say("", SECOND, 5)]
    assert words(reply, " sunny.") == [Say(" sunny.", tokens=1)]
    assert sound(reply, SECOND) == [Say("", SECOND, 12)]
    (made,) = reply.made
    assert [made.end_ms(text) for text in ("", "It", "It is", "It is sunny.")] == [0, 0, 1000, 2000]


def test_no_word_is_claimed_before_its_sound_can_have_come() -> None:
    reply = Reply(Pace())
    words(reply, "A long sentence that is told before any sound of it has been made.")
    assert sound(reply, SECOND) == [Say("", SECOND, 10)]
    assert sound(reply, SECOND) == [Say("", SECOND, 20)]


def test_the_pace_of_a_voice_is_learnt_from_a_whole_message() -> None:
    pace = Pace()
    reply = Reply(pace)
    words(reply, "x" * 40)
    sound(reply, SECOND * 2)
    take(reply, "output_item.done", item={**MESSAGE, "status": "completed"})
    later = Reply(pace)
    words(later, "x" * 40)
    assert sound(later, SECOND) == [Say("", SECOND, 14)]


def test_words_that_come_after_their_sound_are_voiced_as_far_as_they_came() -> None:
    reply = Reply(Pace())
    assert sound(reply, SECOND) == [Say("", SECOND, 0)]
    words(reply, "Yes")
    assert sound(reply, SECOND) == [Say("", SECOND, 3)]


def test_a_sample_may_be_split_over_two_deltas() -> None:
    reply = Reply(None)
    assert sound(reply, b"\1\2\3") == [Say("", b"\1\2", 0)]
    assert sound(reply, b"\4") == [Say("", b"\3\4", 0)]


def test_sound_that_is_no_base64_is_a_fault() -> None:
    with pytest.raises(EngineFault, match="no base64"):
        take(Reply(None), "output_audio.delta", item_id="item_1", delta="!")


def test_a_call_is_passed_on_as_it_is_written_and_closed_once() -> None:
    reply = Reply(None)
    assert take(reply, "output_item.added", item=CALL) == [Call(0, name="look")]
    piece = {"item_id": "item_2", "delta": '{"at":'}
    assert take(reply, "function_call_arguments.delta", **piece) == [
        Call(0, delta='{"at":', tokens=1)
    ]
    take(reply, "function_call_arguments.delta", item_id="item_2", delta="1}")
    whole = {"item_id": "item_2", "arguments": '{"at":1}'}
    assert take(reply, "function_call_arguments.done", **whole) == [Call(0, final=True)]
    assert take(reply, "output_item.done", item={**CALL, "arguments": '{"at":1}'}) == []
    assert (reply.made[0].text, reply.made[0].call_id) == ('{"at":1}', "call_1")


def test_a_call_that_comes_whole_is_one_piece() -> None:
    reply = Reply(None)
    done = {**CALL, "arguments": "{}", "status": "completed"}
    assert take(reply, "output_item.done", item=done) == [
        Call(0, name="look"),
        Call(0, delta="{}", tokens=1),
        Call(0, final=True),
    ]


def test_messages_in_a_row_are_one_and_a_call_between_them_parts_them() -> None:
    reply = Reply(None)
    words(reply, "One.")
    words(reply, " Two.", "item_1b")
    take(reply, "output_item.added", item=CALL)
    words(reply, "Three.", "item_3")
    assert [(made.ids, made.text) for made in reply.made] == [
        (["item_1", "item_1b"], "One. Two."),
        (["item_2"], ""),
        (["item_3"], "Three."),
    ]


def test_old_names_of_events_are_understood() -> None:
    reply = Reply(None)
    assert take(reply, "audio_transcript.delta", item_id="item_1", delta="Hi") == [
        Say("Hi", tokens=1)
    ]
    assert take(reply, "text.delta", item_id="item_1", delta="Hi") == [Say("Hi")]


def test_usage_comes_by_modality_before_the_end() -> None:
    usage = {
        "input_tokens": 30,
        "input_token_details": {
            "text_tokens": 10,
            "audio_tokens": 20,
            "cached_tokens_details": {"text_tokens": 4, "audio_tokens": 8},
        },
        "output_token_details": {"text_tokens": 7, "audio_tokens": 90},
    }
    response = {"id": "resp_1", "status": "completed", "usage": usage}
    assert take(Reply(None), "done", response=response) == [
        Began({"text": 10, "audio": 20}, {"text": 4, "audio": 8}),
        Done(tokens=7),
    ]


def test_until_the_upstream_tells_usage_it_is_estimated_and_then_made_true() -> None:
    reply = Reply(None, {"text": 9, "audio": 30})
    assert take(reply, "created", response={"id": "resp_1"}) == [Began({"text": 9, "audio": 30})]
    said = words(reply, "It is sunny") + words(reply, " in Paris today.")
    spent = sum(event.tokens for event in said if isinstance(event, Say))
    assert spent == 5
    usage = {"input_tokens": 30, "output_token_details": {"text_tokens": 7}}
    response = {"id": "resp_1", "status": "completed", "usage": usage}
    assert take(reply, "done", response=response) == [Began({"text": 30}), Done(tokens=2)]


@pytest.mark.parametrize(
    ("reason", "ends"), [("max_output_tokens", "length"), ("content_filter", "filtered")]
)
def test_a_reply_that_stopped_short_says_why(reason: str, ends: Any) -> None:
    details = {"type": "incomplete", "reason": reason}
    response = {"id": "resp_1", "status": "incomplete", "status_details": details}
    assert take(Reply(None), "done", response=response) == [Done(ends)]


def test_a_failed_response_is_a_fault_with_the_upstreams_code() -> None:
    error = {"code": "context_length_exceeded", "message": "Too long."}
    details = {"type": "failed", "error": error}
    response = {"id": "resp_1", "status": "failed", "status_details": details}
    with pytest.raises(EngineFault, match="Too long") as caught:
        take(Reply(None), "done", response=response)
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.parametrize("arguments", ["{", "[1]", "sunny"])
def test_a_call_whose_arguments_are_no_json_object_fails_the_reply(arguments: str) -> None:
    reply = Reply(None)
    take(reply, "output_item.added", item=CALL)
    told = {"item_id": "item_2", "arguments": arguments}
    assert not any(call.final for call in take(reply, "function_call_arguments.done", **told))  # type: ignore[union-attr]
    with pytest.raises(EngineFault, match="called look with arguments that are no JSON object"):
        take(reply, "done", response={"id": "resp_1", "status": "completed"})


def test_a_call_that_the_limit_cut_is_no_fault() -> None:
    reply = Reply(None)
    take(reply, "output_item.added", item=CALL)
    take(reply, "function_call_arguments.done", item_id="item_2", arguments='{"at":')
    details = {"type": "incomplete", "reason": "max_output_tokens"}
    response = {"id": "resp_1", "status": "incomplete", "status_details": details}
    assert take(reply, "done", response=response) == [Done("length")]


def test_a_call_without_arguments_has_none() -> None:
    reply = Reply(None)
    take(reply, "output_item.added", item=CALL)
    done = take(reply, "function_call_arguments.done", item_id="item_2", arguments="")
    assert done == [Call(0, delta="{}", tokens=1), Call(0, final=True)]


@pytest.mark.parametrize(
    "usage",
    [
        {"input_tokens": "many"},
        {"output_token_details": {"text_tokens": -3, "audio_tokens": 1.5}},
        [7],
        {"input_token_details": {"text_tokens": -1}, "output_token_details": {"text_tokens": -1}},
    ],
)
def test_a_usage_that_cannot_be_does_not_spoil_what_was_said(usage: Any) -> None:
    reply = Reply(None, {"text": 9})
    take(reply, "created", response={"id": "resp_1"})
    words(reply, "It is")
    got = take(reply, "done", response={"id": "resp_1", "status": "completed", "usage": usage})
    assert got[-1] == Done()
    assert all(min(e.input.values(), default=0) >= 0 for e in got if isinstance(e, Began))
