"""What a long conversation holds: words, and no more sound or images than may yet be read.

Only this test and the parts that still need it refer to a sound, so the references tell.
"""

import gc
import sys
from typing import Any

from duologue.core.talk import Ask, Item, Part
from duologue.engines.composed.talk import ComposedTalk
from duologue.errors import EngineFault
from engines.composed.engine_kit import Bench, bench, events, rest
from engines.composed.parts_kit import said, sound, spoken, typed


def is_held(thing: Any) -> bool:
    """Whether anybody but the test refers to it: its variable, this one's and the call do."""
    gc.collect()  # replies and their tasks refer to each other
    return sys.getrefcount(thing) > 3


def new_sound(words: str) -> bytes:
    return sound(words) + b"\0\0"  # made now, so that it is no constant of this file


async def turn(b: Bench | ComposedTalk, item: Item, number: int) -> None:
    """Put what the user said, and the answer."""
    talk = b if isinstance(b, ComposedTalk) else b.talk
    talk.put(item)
    await events(talk.reply(Ask()))
    talk.put(said(f"a{number}", "Yes."))


async def test_sound_is_let_go_once_it_is_written_down_and_answered() -> None:
    async with bench() as b:
        pcm = new_sound("Is it sunny?")
        await turn(b, Item("u1", "user", (Part(pcm=pcm, media_id="u1"),)), 1)
        await turn(b, spoken("u2", "And now?"), 2)
        await rest()
        assert not is_held(pcm)
        assert b.ear.heard == ["u1", "u2"], "each was heard once"
        assert "Is it sunny?" in b.prompts[-1] and "And now?" in b.prompts[-1]
        before = b.prompts[-1]
        await turn(b, typed("u3", "So?"), 3)
        assert b.prompts[-1].startswith(before)
        b.talk.drop("u1")
        assert b.ear.forgotten == ["u1"]


async def test_several_sounds_of_an_item_keep_their_own_words() -> None:
    async with bench() as b:
        parts = (
            Part(pcm=new_sound("One."), media_id="u1#0"),
            Part("two"),
            Part(pcm=new_sound("Three."), media_id="u1#2"),
        )
        await turn(b, Item("u1", "user", parts), 1)
        await turn(b, typed("u2", "So?"), 2)
        await turn(b, typed("u3", "And?"), 3)
        assert b.ear.heard == ["u1#0", "u1#2"]
        assert "One. two Three." in b.prompts[-1]
        b.talk.drop("u1")
        assert b.ear.forgotten == ["u1#0", "u1#2"]


async def test_sound_that_is_not_written_down_yet_is_kept_and_what_failed_is_not_understood() -> (
    None
):
    async with bench() as b:
        pcm = new_sound("Hello.")
        b.ear.gate.shut()
        b.talk.put(Item("u1", "user", (Part(pcm=pcm, media_id="u1"),)))
        b.talk.put(typed("u2", "Well?"))
        await rest()
        assert is_held(pcm)
        b.ear.fault = EngineFault("broken")
        b.ear.gate.open()
        await events(b.talk.reply(Ask()))
        assert "(unintelligible)" in b.prompts[-1]
        b.talk.put(said("a2", "Yes."))
        await rest()
        assert not is_held(pcm)
        await turn(b, typed("u3", "So?"), 3)
        assert "(unintelligible)" in b.prompts[-1]


async def test_images_that_the_window_has_dropped_are_let_go() -> None:
    async with bench() as b:
        image = "data:image/png;base64," + "x" * 40 + str(id(b))
        await turn(b, Item("u1", "user", (Part(image_url=image, media_id="u1"),)), 1)
        await rest()
        b.eye.read_urls.clear()
        assert is_held(image)
        for number in range(2, 30):
            await turn(b, typed(f"u{number}", "word " * 800), number)
        await rest()
        assert "u1" not in b.prompts[-1] and not is_held(image)
