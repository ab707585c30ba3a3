"""What a long conversation holds: no more sound or images than may yet be sent.

Only the test and the talk refer to them, so the references tell.
"""

import gc
import sys
from typing import Any

import pytest

from duologue.core.talk import Ask, Item, Part
from duologue.engines.chat.engine import ChatEngine
from duologue.engines.chat.request import Model
from duologue.errors import EngineFault
from duologue.testing.chat_stand_in import Answer, ChatStandIn, standing_in


def is_held(thing: Any) -> bool:
    """Whether anybody but the test refers to it: its variable, this one's and the call do."""
    gc.collect()
    return sys.getrefcount(thing) > 3


def new(size: int) -> tuple[str, bytes]:
    """An image and a sound, made now."""
    return "data:image/png;base64," + "A" * size, bytes(size)


async def test_what_the_window_has_dropped_is_let_go() -> None:
    image, sound = new(5000)
    async with standing_in(ChatStandIn(*[Answer(sound_ms=100)] * 4)) as url:
        engine = ChatEngine([url], Model("m"), context_tokens=4500)
        talk = await engine.open(Ask())
        parts = (Part(image_url=image), Part(pcm=sound, media_id="s"), Part("A cat?"))
        talk.put(Item("u0", "user", parts))
        _ = [event async for event in talk.reply(Ask())]
        del parts
        assert is_held(image) and is_held(sound)
        for number in (1, 2, 3):
            talk.put(Item(f"u{number}", "user", (Part(image_url=new(10)[0]),)))
            _ = [event async for event in talk.reply(Ask())]
        assert not is_held(image) and not is_held(sound)
        await engine.aclose()


async def test_an_image_that_no_upstream_takes_is_let_go() -> None:
    image, _ = new(5000)
    refusal = Answer(status=400, raw=b"no image, please")
    stand_in = ChatStandIn(refusal, Answer(sound_ms=100))
    async with standing_in(stand_in) as url:
        engine = ChatEngine([url], Model("m"))
        talk = await engine.open(Ask())
        talk.put(Item("u0", "user", (Part(image_url=image), Part("A cat?"))))
        with pytest.raises(EngineFault):
            _ = [event async for event in talk.reply(Ask())]
        _ = [event async for event in talk.reply(Ask())]
        await engine.aclose()
    assert "cannot be seen" in str(stand_in.requests[1]["messages"]) and not is_held(image)
