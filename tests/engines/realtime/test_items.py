"""Items as an upstream gets them."""

import pytest

from duologue.core.talk import Item, Part
from duologue.engines.realtime.items import LONG_BYTES, is_long, wire_item

URL = "data:image/png;base64,AA=="


@pytest.mark.parametrize("detail", [None, "low", "high"])
def test_an_image_goes_with_how_closely_it_is_to_be_looked_at(detail: str | None) -> None:
    item = Item("u", "user", (Part("What is it?"), Part(image_url=URL, image_detail=detail)))  # type: ignore[arg-type]
    image = {"type": "input_image", "image_url": URL, **({"detail": detail} if detail else {})}
    assert wire_item(item, str)["content"] == [{"type": "input_text", "text": "What is it?"}, image]


@pytest.mark.parametrize(
    "whole", [Part("w" * LONG_BYTES), Part(pcm=bytes(LONG_BYTES)), Part(image_url="i" * LONG_BYTES)]
)
def test_a_long_item_is_one_of_much_text_sound_or_image(whole: Part) -> None:
    assert not is_long(Item("u", "user", (whole,)))
    assert is_long(Item("u", "user", (whole, Part("more"))))
