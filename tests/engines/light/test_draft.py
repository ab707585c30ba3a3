"""The draft: words at once, calls when they are whole, nothing twice."""

from hypothesis import given
from hypothesis import strategies as st

from duologue.core.talk import Call
from duologue.engines.light.draft import Draft


def drafted(pieces: list[str]) -> list[str | Call]:
    draft = Draft(calls=True)
    return [event for piece in pieces for event in draft.push(piece)] + draft.flush()


def text(events: list[str | Call]) -> str:
    return "".join(event for event in events if isinstance(event, str))


CALL = '{"name":"f","arguments":{"a":1}}'


def test_words_come_out_as_they_go_in() -> None:
    draft = Draft(calls=True)
    assert draft.push("Hello") == ["Hello"]
    assert draft.push(" there.") == [" there."]


def test_a_call_comes_out_when_it_is_whole() -> None:
    draft = Draft(calls=True)
    assert draft.push(CALL[:-1]) == []
    assert draft.push(CALL[-1]) == [
        Call(0, name="f", delta='{"a":1}'),
        Call(0, final=True),
    ]


def test_several_calls_one_per_line_or_as_a_list() -> None:
    for written in (f"{CALL}\n{CALL}", f"[{CALL},{CALL}]"):
        names = [(e.index, e.final) for e in drafted([written]) if isinstance(e, Call)]
        assert names == [(0, False), (0, True), (1, False), (1, True)]


def test_a_call_after_words() -> None:
    events = drafted(["One moment.", "\n", CALL])
    assert text(events) == "One moment." and len(events) == 3


def test_words_in_brackets_are_words() -> None:
    assert text(drafted(["[", "laughs] Hello."])) == "[laughs] Hello."


def test_a_call_cut_off_in_the_middle_is_none() -> None:
    assert drafted(['{"name":"f","arguments":{"a"']) == []


def test_what_is_no_call_is_passed_over() -> None:
    assert drafted(['{"name":5}', '{"other":"x"}', '"x"']) == []


def test_where_nothing_can_be_called_json_is_words() -> None:
    for written in (CALL, f"Look:\n{CALL}", "[1, 2]", '{"name":'):
        draft = Draft(calls=False)
        events = [e for c in written for e in draft.push(c)] + draft.flush()
        assert text(events) == written and not any(isinstance(e, Call) for e in events)


def test_a_sentence_said_again_is_the_end() -> None:
    draft = Draft(calls=True)
    draft.push("I am not sure. ")
    draft.push("I am not sure. ")
    assert draft.over and draft.push("I am not sure.") == [] and draft.flush() == []


@given(st.lists(st.text(st.sampled_from("ab \n{}"), max_size=8), max_size=8))
def test_how_it_is_cut_into_pieces_changes_nothing(pieces: list[str]) -> None:
    whole = drafted(["".join(pieces)])
    cut = drafted(pieces)
    assert text(cut).strip() == text(whole).strip()
