"""What is left out of a conversation after an upstream refused it."""

from duologue.core.talk import Item, Part
from duologue.engines.chat.left_out import NO_IMAGE, NO_SOUND, LeftOut

SOUND = Item("u1", "user", (Part(pcm=b"\0\0"),))
WRITTEN = Item("u2", "user", (Part("Hello.", pcm=b"\0\0"),))
IMAGE = Item("i1", "user", (Part(image_url="data:,"), Part("What is it?"), Part(pcm=b"\0\0")))
TEXT = Item("t1", "user", (Part("Good day."),))


def texts(left_out: LeftOut, *items: Item) -> list[list[str | None]]:
    return [[part.text for part in item.parts] for item in left_out.sendable(items)]


def test_images_are_left_out_before_sound_unless_only_sound_is_named() -> None:
    for told, what in (
        ("no", "an image"),
        ("no image or audio", "an image"),
        ("audio too short", "what the user said"),
    ):
        left_out = LeftOut()
        assert left_out.blame([TEXT, IMAGE], told) == what
        kept = left_out.sendable([TEXT, IMAGE])
        assert kept[0] is TEXT
        assert bool(kept[1].parts[0].image_url) is (what != "an image")
        assert bool(kept[1].parts[2].pcm) is (what == "an image")


def test_words_stand_for_what_is_left_out() -> None:
    left_out = LeftOut()
    left_out.blame([IMAGE], "image")
    left_out.blame([SOUND, WRITTEN], "audio")
    assert texts(left_out, SOUND, WRITTEN, IMAGE) == [
        [NO_SOUND],
        ["Hello."],
        [NO_IMAGE, "What is it?", None],
    ]


def test_sound_that_no_word_names_is_left_out_when_it_is_refused_again() -> None:
    left_out = LeftOut()
    assert left_out.blame([SOUND], "bad voice") is None
    assert left_out.sendable([SOUND]) == [SOUND]
    assert left_out.blame([SOUND, WRITTEN], "bad voice") == "what the user said"
    assert texts(left_out, SOUND, WRITTEN) == [[NO_SOUND], ["Hello."]]
    assert left_out.sendable([WRITTEN]) == [WRITTEN]


def test_what_was_taken_once_is_never_to_blame() -> None:
    left_out = LeftOut()
    left_out.took([TEXT, IMAGE, SOUND])
    for told in ("image", "audio", "no", "no"):
        assert left_out.blame([TEXT, IMAGE, SOUND], told) is None
    left_out.forget("i1")
    assert left_out.blame([TEXT, IMAGE, SOUND], "no") == "an image"


def test_an_item_that_was_deleted_leaves_its_id_to_another() -> None:
    left_out = LeftOut()
    left_out.blame([IMAGE], "image")
    left_out.forget("i1")
    assert left_out.sendable([IMAGE]) == [IMAGE]


def test_only_what_is_left_out_is_made_anew() -> None:
    left_out = LeftOut()
    image, words = Item("i", "user", (Part(image_url="data:,"),)), Item("w", "user", (Part("Hi."),))
    left_out.blame((image, words), "no vision")
    lighter, same = left_out.sendable((image, words))
    assert same is words and lighter is not image
    assert left_out.sendable((lighter,))[0] is lighter, "there is nothing left to leave out"
