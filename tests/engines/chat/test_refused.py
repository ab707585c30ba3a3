"""What is left out of a conversation after an upstream refused it."""

from duologue.core.talk import Item, Part
from duologue.engines.chat.refused import NO_IMAGE, NO_SOUND, Refused

SOUND = Item("u1", "user", (Part(pcm=b"\0\0"),))
WRITTEN = Item("u2", "user", (Part("Hello.", pcm=b"\0\0"),))
IMAGE = Item("i1", "user", (Part(image_url="data:,"), Part("What is it?"), Part(pcm=b"\0\0")))
TEXT = Item("t1", "user", (Part("Good day."),))


def texts(refused: Refused, *items: Item) -> list[list[str | None]]:
    return [[part.text for part in item.parts] for item in refused.sendable(items)]


def test_images_are_left_out_before_sound_unless_only_sound_is_named() -> None:
    for told, what in (
        ("no", "an image"),
        ("no image or audio", "an image"),
        ("audio too short", "what the user said"),
    ):
        refused = Refused()
        assert refused.blame([TEXT, IMAGE], told) == what
        kept = refused.sendable([TEXT, IMAGE])
        assert kept[0] is TEXT
        assert bool(kept[1].parts[0].image_url) is (what != "an image")
        assert bool(kept[1].parts[2].pcm) is (what == "an image")


def test_words_stand_for_what_is_left_out() -> None:
    refused = Refused()
    refused.blame([IMAGE], "image")
    refused.blame([SOUND, WRITTEN], "audio")
    assert texts(refused, SOUND, WRITTEN, IMAGE) == [
        [NO_SOUND],
        ["Hello."],
        [NO_IMAGE, "What is it?", None],
    ]


def test_sound_that_no_word_names_is_left_out_when_it_is_refused_again() -> None:
    refused = Refused()
    assert refused.blame([SOUND], "bad voice") is None
    assert refused.sendable([SOUND]) == [SOUND]
    assert refused.blame([SOUND, WRITTEN], "bad voice") == "what the user said"
    assert texts(refused, SOUND, WRITTEN) == [[NO_SOUND], ["Hello."]]
    assert refused.sendable([WRITTEN]) == [WRITTEN]


def test_what_was_taken_once_is_never_to_blame() -> None:
    refused = Refused()
    refused.took([TEXT, IMAGE, SOUND])
    for told in ("image", "audio", "no", "no"):
        assert refused.blame([TEXT, IMAGE, SOUND], told) is None
    refused.forget("i1")
    assert refused.blame([TEXT, IMAGE, SOUND], "no") == "an image"


def test_an_item_that_was_deleted_leaves_its_id_to_another() -> None:
    refused = Refused()
    refused.blame([IMAGE], "image")
    refused.forget("i1")
    assert refused.sendable([IMAGE]) == [IMAGE]


def test_only_what_is_left_out_is_made_anew() -> None:
    refused = Refused()
    image, words = Item("i", "user", (Part(image_url="data:,"),)), Item("w", "user", (Part("Hi."),))
    refused.blame((image, words), "no vision")
    lighter, same = refused.sendable((image, words))
    assert same is words and lighter is not image
    assert refused.sendable((lighter,))[0] is lighter, "there is nothing left to leave out"
