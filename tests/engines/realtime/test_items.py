"""Items as an upstream gets them."""

import pytest

from duologue.core.talk import Item, Part
from duologue.engines.realtime.items import wire_item

URL = "data:image/png;base64,AA=="


@pytest.mark.parametrize("detail", [None, "low", "high"])
def test_an_image_goes_with_how_closely_it_is_to_be_looked_at(detail: str | None) -> None:
    item = Item("u", "user", (Part("What is it?"), Part(image_url=URL, image_detail=detail)))  # type: ignore[arg-type]
    image = {"type": "input_image", "image_url": URL, **({"detail": detail} if detail else {})}
    assert wire_item(item, str)["content"] == [{"type": "input_text", "text": "What is it?"}, image]
