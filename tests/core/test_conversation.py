"""The conversation as a structure: its order against a plain list, and that it scales."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core import conversation as module
from duologue.core.conversation import BESIDE_KEPT, Conversation, Entry
from duologue.events import FunctionCallItem, InputText, MessageItem
from duologue.testing.timeline import Timeline
from session_kit import add, codes, create, user


def message(item_id: str, pcm: bytes = b"") -> Entry:
    content = (InputText(text=item_id),)
    return Entry(MessageItem(id=item_id, role="user", content=content), sounds={0: pcm})


def call(item_id: str, call_id: str) -> Entry:
    return Entry(FunctionCallItem(id=item_id, name="f", call_id=call_id, arguments="{}"))


@given(st.lists(st.tuples(st.sampled_from(["add", "known", "remove"]), st.integers(0, 30))))
def test_it_keeps_the_order_that_a_list_would(steps: list[tuple[str, int]]) -> None:
    it, order, known = Conversation("conv"), list[str](), set[str]()
    for number, (what, where) in enumerate(steps):
        if what == "remove" and order:
            item_id = order.pop(where % len(order))
            it.remove(item_id)
            known.discard(item_id)
        elif what != "remove":
            places = [None, "root", *order]
            anchor = places[where % len(places)]
            index = len(order) if anchor is None else 0 if anchor == "root" else None
            index = order.index(str(anchor)) + 1 if index is None else index
            entry = message(f"i{number}")
            entry.known = what == "known"
            if entry.known:
                known.add(entry.id)
            assert it.add(entry, anchor) == (order[index - 1] if index else None)
            order.insert(index, entry.id)
    assert [entry.id for entry in it] == order
    assert it.last_id == (order[-1] if order else None)
    for index, item_id in enumerate(order):
        assert it.previous_id(item_id) == (order[index - 1] if index else None)
        before = [other for other in order[:index] if other in known]
        assert it.anchor(item_id) == (before[-1] if before else "")


def test_a_call_is_known_until_its_last_item_is_deleted() -> None:
    it = Conversation("conv")
    it.add(call("a", "c"))
    it.add(call("b", "c"))
    it.remove("a")
    assert it.has_call("c")
    it.remove("b")
    assert not it.has_call("c")


def test_sound_of_deleted_items_makes_room() -> None:
    minute = bytes(60_000 * 48)
    it = Conversation("conv")
    for number in range(20):
        it.add(entry := message(f"i{number}", minute))
        it.keep(entry)
    for number in range(10):
        it.remove(f"i{number}")
    for number in range(20, 30):
        it.add(entry := message(f"i{number}", minute))
        it.keep(entry)
    assert all(entry.sound_bytes for entry in it)
    it.add(entry := message("one more", minute))
    it.keep(entry)
    assert [bool(entry.sound_bytes) for entry in it] == [False] + [True] * 20


def test_what_is_kept_beside_is_bounded() -> None:
    it = Conversation("conv")
    for number in range(BESIDE_KEPT + 5):
        it.keep_beside(message(f"i{number}"))
    assert it.find("i5", "x").id == "i5" and list(it) == []
    with pytest.raises(Exception, match="does not exist"):
        it.find("i4", "x")


def lines_run(act: Callable[[], Any]) -> int:
    """How many lines of the conversation's module `act` runs through."""
    count = 0

    def local(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        count += event == "line"
        return local

    def trace(frame: Any, event: str, _: Any) -> Any:
        return local if frame.f_code.co_filename == module.__file__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def test_ten_thousand_items_cost_no_more_than_ten() -> None:
    """Work is counted in lines, which no busy machine changes."""
    t = Timeline()
    first = add({"type": "function_call", "id": "c", "name": "f", "call_id": "c", "arguments": ""})
    t.client_sends(0.0, first)
    t.client_sends(0.0, add(user("0", id="i0")))
    t.run(0.0)

    def work() -> int:
        start = len(t.mirror.order)
        for index, event in enumerate(
            [
                add(user("last")),
                add(user("front", id=f"front{start}"), previous_item_id="root"),
                add(user("middle", id=f"middle{start}"), previous_item_id="i0"),
                add({"type": "function_call_output", "call_id": "c", "output": ""}),
                {"type": "conversation.item.retrieve", "item_id": "i0"},
                {"type": "conversation.item.delete", "item_id": f"middle{start}"},
            ]
        ):
            t.client_sends(t.now + index * 1e-6, event)
        return lines_run(lambda: t.run(t.now + 1e-3))

    few = work()
    for number in range(10_000):
        t.client_sends(t.now, add(user("x", id=f"many{number}")))
    t.engine.history.clear()  # the timeline's own engine keeps a plain list
    t.engine.take = lambda note: None  # type: ignore[method-assign]
    t.run(t.now)
    assert len(t.mirror.order) > 10_000
    assert work() <= few and codes(t) == []


def test_fifty_requests_in_a_row_are_answered_one_by_one_and_bounded() -> None:
    t = Timeline()
    for _ in range(50):
        t.client_sends(0.1, create())
        t.client_sends(0.1, create(conversation="none"))
    t.run(0.2)
    assert len(t.engine.asks) == 1 + 16
    refused = codes(t)
    assert refused.count("conversation_already_has_active_response") == 49
    assert refused.count("rate_limit_exceeded") == 34
