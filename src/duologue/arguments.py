"""The arguments of a function call: text in, whether a function can be called with it out."""

import msgspec


def is_object(arguments: str) -> bool:
    """Whether arguments are a JSON object, in the letter of the standard: NaN is none."""
    try:
        return isinstance(msgspec.json.decode(arguments), dict)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
