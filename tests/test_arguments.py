"""Arguments of function calls, as models write them."""

import pytest

from duologue.arguments import is_object


@pytest.mark.parametrize("arguments", ["{}", ' {"at": 1.5, "who": null} ', '{"a":{"b":[]}}'])
def test_an_object_can_be_called_with(arguments: str) -> None:
    assert is_object(arguments)


@pytest.mark.parametrize(
    "arguments",
    ["", "{", "[1]", "null", "sunny", '{"x":NaN}', "{} {}", '{"x":"\ud83d"}', '{"x":' + "[" * 9999],
)
def test_nothing_else_can(arguments: str) -> None:
    assert not is_object(arguments)
