"""Ids in the forms seen on the wire (reference, section 5): a prefix and 21 base62 characters.

A source is seeded, so that a tape can be replayed with the ids it was recorded with; the
seed itself comes from the system's randomness.
"""

import random
import secrets
import string

ALPHABET = string.ascii_letters + string.digits
BODY_CHARACTERS = 21


def new_seed() -> int:
    """A seed that no other session has."""
    return secrets.randbits(128)


class IdSource:
    """`source("item")` -> "item_…"; the same seed gives the same ids."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def __call__(self, prefix: str) -> str:
        return f"{prefix}_" + "".join(self._random.choices(ALPHABET, k=BODY_CHARACTERS))
