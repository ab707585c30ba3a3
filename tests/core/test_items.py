"""Items as a client writes them: what a role may say, and images."""

from typing import Any

import pytest

from duologue.events import (
    Error,
)
from session_kit import add, played

SILENCE = "AAAA" * 1600  # 4800 bytes: 100 ms


@pytest.mark.conformance("C-112", "C-113")
@pytest.mark.parametrize(
    ("role", "part", "path"),
    [
        ("system", {"type": "input_audio", "audio": SILENCE}, "item.content[0].type"),
        ("user", {"type": "output_text", "text": "x"}, "item.content[0].type"),
        ("assistant", {"type": "output_audio"}, "item.content[0].text"),
        ("user", {"type": "input_audio"}, "item.content[0].audio"),
        ("user", {"type": "input_image", "image_url": "ftp://x"}, "item.content[0].image_url"),
    ],
)
def test_content_that_a_role_cannot_have_is_refused_by_path(
    role: str, part: dict[str, Any], path: str
) -> None:
    t = played(add({"type": "message", "role": role, "content": [part]}))
    assert t.events(Error)[0].error.param == path and t.mirror.order == []


@pytest.mark.parametrize(("given", "asked"), [("auto", None), ("low", "low"), ("high", "high")])
def test_how_closely_an_image_is_to_be_looked_at_is_told_the_engine(
    given: str, asked: str | None
) -> None:
    part = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": given}
    t = played(add({"type": "message", "role": "user", "content": [part]}))
    assert t.engine.history[0].parts[0].image_detail == asked


@pytest.mark.conformance("C-114")
def test_an_image_is_a_data_uri_of_png_or_jpeg() -> None:
    def image(url: str) -> dict[str, Any]:
        part = {"type": "input_image", "image_url": url}
        return add({"type": "message", "role": "user", "content": [part]})

    t = played(
        image("data:image/png;base64,AAAA"),
        image("data:image/jpeg;base64,AAAA"),
        image("data:image/tiff;base64,AAAA"),
        image("file:///etc/passwd"),
    )
    assert len(t.mirror.order) == 2
    assert [e.error.param for e in t.events(Error)] == ["item.content[0].image_url"] * 2
    assert [item.parts[0].image_url for item in t.engine.history] == [
        "data:image/png;base64,AAAA",
        "data:image/jpeg;base64,AAAA",
    ]


def test_an_image_must_be_brought_along() -> None:
    part = {"type": "input_image", "detail": "low"}
    t = played(add({"type": "message", "role": "user", "content": [part]}))
    error = t.events(Error)[0].error
    assert error.code == "missing_required_parameter"
    assert error.param == "item.content[0].image_url"
    assert t.mirror.order == []
