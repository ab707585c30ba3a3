from duologue.core.talk import Item, Part
from duologue.engines.history import History
from engines.composed.parts_kit import said, typed


def ids(history: History) -> list[str]:
    return [item.id for item in history.items]


def test_items_stand_in_the_order_they_were_put() -> None:
    history = History()
    assert history.put(typed("b", "B"))
    assert not history.put(typed("a", "A"), "")
    assert not history.put(typed("ab", "AB"), "a")
    assert history.put(typed("c", "C"), "b")
    assert history.put(typed("d", "D"), "unknown")
    assert ids(history) == ["a", "ab", "b", "c", "d"]


def test_an_item_put_again_replaces_itself() -> None:
    history = History()
    history.put(typed("a", "A"))
    history.put(typed("b", "B"))
    assert not history.put(typed("a", "A, longer"), "b")
    assert ids(history) == ["a", "b"]
    assert history.items[0].parts == (Part("A, longer"),)


def test_a_cut_leaves_the_words_that_were_heard_and_no_sound() -> None:
    history = History()
    history.put(Item("a", "assistant", (Part("One two three.", b"\0\0"),)))
    assert history.cut("a", "One two")
    assert history.items == (said("a", "One two"),)
    assert not history.cut("b", "")


def test_every_edit_raises_the_revision_and_no_snapshot_changes() -> None:
    history = History()
    history.put(typed("a", "A"))
    before, revision = history.items, history.revision
    history.put(typed("b", "B"))
    history.cut("a", "")
    dropped = history.drop("a")
    assert dropped is not None and dropped.id == "a"
    assert history.drop("a") is None
    assert history.revision == revision + 3
    assert before == (typed("a", "A"),)


def test_sound_is_let_go_and_words_stay() -> None:
    history = History()
    history.put(Item("u", "user", (Part("words", b"sound"), Part("more"))))
    before, revision = history.items, history.revision
    history.forget_sound("u")
    history.forget_sound("nobody")
    assert history.items == (Item("u", "user", (Part("words"), Part("more"))),)
    assert before[0].parts[0].pcm == b"sound" and history.revision == revision


def test_sound_and_images_are_let_go_and_words_stay() -> None:
    history = History()
    history.put(Item("u", "user", (Part(image_url="data:,"), Part("words", b"sound"), Part())))
    revision = history.revision
    history.forget_media("u")
    history.forget_media("nobody")
    assert history.items == (Item("u", "user", (Part("words"),)),) and history.revision == revision


def test_an_item_is_found_with_the_one_before_it() -> None:
    history = History()
    history.put(typed("a", "A"))
    history.put(typed("b", "B"))
    assert history.find("a") == (typed("a", "A"), "")
    assert history.find("b") == (typed("b", "B"), "a")
    assert history.find("c") == (None, "")


def test_sound_that_is_let_go_leaves_the_words_there_are_or_others() -> None:
    history = History()
    history.put(Item("a", "user", (Part("Hi", b"\0\0"), Part(None, b"\0\0"), Part("So"))))
    history.forget_sound("a", "(unknown)")
    assert history.items[0].parts == (Part("Hi"), Part("(unknown)"), Part("So"))
    history.forget_sound("b")
