"""The window: what is dropped when, what never is, and that results keep their calls."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from duologue.core.talk import CallPart, Item, Part, Truncation
from duologue.engines.window import Window, newest
from duologue.errors import EngineFault


def word(number: int, tokens: int = 10) -> Item:
    return Item(f"i{number}", "user", (Part("x" * tokens),))


def call(item_id: str, call_id: str = "c") -> Item:
    return Item(item_id, "call", call=CallPart(call_id, "f", "x" * 10))


def result(item_id: str, call_id: str = "c", tokens: int = 10) -> Item:
    return Item(item_id, "result", (Part("x" * tokens),), call_id=call_id)


def size(item: Item) -> int:
    return len(item.call.arguments) if item.call else len(item.parts[0].text or "")


def ids(items: list[Item]) -> list[str]:
    return [item.id for item in items]


@pytest.mark.conformance("C-189")
def test_nothing_is_dropped_until_the_window_is_full() -> None:
    window, history = Window(), [word(n) for n in range(10)]
    assert window.fit(history, 100, Truncation(), size) == history
    history.append(word(10))
    assert ids(window.fit(history, 100, Truncation(), size)) == [f"i{n}" for n in range(6, 11)]


@pytest.mark.conformance("C-190")
def test_a_share_is_kept_and_nothing_more_dropped_until_it_is_full_again() -> None:
    window, truncation = Window(), Truncation(kept_share=0.5, limit_tokens=80)
    history: list[Item] = []
    firsts, totals = [], []
    for number in range(30):
        history.append(word(number))
        kept = window.fit(history, 1000, truncation, size)
        firsts.append(kept[0].id)
        totals.append(sum(map(size, kept)))
    assert totals[:13] == [10, 20, 30, 40, 50, 60, 70, 80, 40, 50, 60, 70, 80]
    assert sorted(set(firsts), key=firsts.index) == ["i0", "i5", "i10", "i15", "i20", "i25"]
    assert max(totals) <= 80


def test_a_share_of_one_keeps_as_much_as_fits() -> None:
    history = [word(n) for n in range(20)]
    kept = Window().fit(history, 100, Truncation(kept_share=1.0), size)
    assert ids(kept) == [f"i{n}" for n in range(10, 20)]


def test_a_share_of_nothing_keeps_the_newest() -> None:
    history = [word(n) for n in range(20)]
    assert ids(Window().fit(history, 100, Truncation(kept_share=0.0), size)) == ["i19"]


@pytest.mark.conformance("C-191")
def test_where_nothing_may_be_dropped_too_much_is_a_fault() -> None:
    window, history = Window(), [word(n) for n in range(10)]
    forbidden = Truncation(allowed=False)
    assert window.fit(history, 100, forbidden, size) == history
    with pytest.raises(EngineFault) as fault:
        window.fit([*history, word(10)], 100, forbidden, size)
    assert fault.value.code == "context_length_exceeded"
    assert window.fit(history, 100, forbidden, size) == history  # nothing was dropped by that


def test_one_item_that_is_too_large_is_a_fault_whatever_may_be_dropped() -> None:
    with pytest.raises(EngineFault):
        Window().fit([word(0), word(1, 200)], 100, Truncation(), size)


def test_a_result_that_comes_late_brings_its_dropped_call_back() -> None:
    window = Window()
    history = [call("c0"), *(word(n) for n in range(10))]
    assert "c0" not in ids(window.fit(history, 100, Truncation(), size))
    history.append(result("r0"))
    kept = ids(window.fit(history, 100, Truncation(), size))
    assert kept[0] == "c0" and kept[-1] == "r0"


def test_what_was_dropped_stays_dropped_when_its_neighbour_is_deleted() -> None:
    window, history = Window(), [word(n) for n in range(11)]
    first = window.fit(history, 100, Truncation(), size)[0]
    history.remove(first)
    assert ids(window.fit(history, 100, Truncation(), size))[0] == "i7"


def test_an_id_that_was_deleted_can_be_used_again() -> None:
    window, history = Window(), [word(n) for n in range(11)]
    window.fit(history, 100, Truncation(), size)
    window.forget("i0")
    assert "i0" in ids(window.fit([*history[1:], word(0)], 100, Truncation(), size))


def test_a_copy_does_not_move_the_cut() -> None:
    window, history = Window(), [word(n) for n in range(11)]
    window.copy().fit(history, 100, Truncation(), size)
    assert ids(window.fit(history, 200, Truncation(), size))[0] == "i0"


def test_of_thousands_of_items_only_the_newest_are_looked_at() -> None:
    measured: list[str] = []

    def counting(item: Item) -> int:
        measured.append(item.id)
        return size(item)

    history = [call("c0"), *(word(n) for n in range(10_000)), result("r0")]
    assert ids(list(newest(history, 20)))[:2] == ["c0", "i9981"]
    Window().fit(history, 100, Truncation(), counting)
    assert len(measured) <= 12


ITEMS = st.lists(
    st.tuples(st.sampled_from(["word", "call", "result"]), st.integers(0, 3), st.integers(0, 30)),
    max_size=30,
)


@given(ITEMS, st.integers(30, 120), st.sampled_from([None, 0.0, 0.3, 0.8, 1.0]))
def test_whatever_comes_it_fits_and_pairs_stay_together(
    given_items: list[tuple[str, int, int]], room: int, share: float | None
) -> None:
    window, history = Window(), list[Item]()
    for number, (kind, which, tokens) in enumerate(given_items):
        known = {item.call.call_id for item in history if item.call}
        if kind == "call" and f"c{which}" not in known:
            history.append(call(f"i{number}", f"c{which}"))
        elif kind == "result" and f"c{which}" in known:
            history.append(result(f"i{number}", f"c{which}", tokens // 2))
        else:
            history.append(word(number, tokens))
        kept = window.fit(history, room, Truncation(kept_share=share), size)
        assert sum(map(size, kept)) <= room and kept[-1] is history[-1]
        calls = {item.call.call_id for item in kept if item.call}
        assert all(item.call_id in calls for item in kept if item.role == "result")
        assert kept == [item for item in history if item in kept]
