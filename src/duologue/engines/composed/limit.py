"""How much of a reply's limit its words may use: an ask in, the one the mind is given out. Pure.

The limit counts words and their sound together, 20 tokens a second, and the core ends the sound
where it is reached. A mind that is faster than its voice would spend all of it on words first.
"""

from msgspec import structs

from duologue.core.talk import Ask
from duologue.engines.calls import allowed

SHARE = 4
"""A word is one token or two, and five to ten of sound: with a quarter for words, hardly ever do
these end a reply that has room for more sound."""

LEAST_TOKENS = 8
"""What words may use all the same: a share of next to nothing says nothing."""


def for_mind(ask: Ask) -> Ask:
    """`ask` with the words' share of its limit, where all that is made of it is to be spoken.

    A call that was cut is none, so where there may be calls the limit stays as it is.
    """
    if ask.max_tokens is None or not ask.speak or allowed(ask):
        return ask
    words = max(LEAST_TOKENS, ask.max_tokens // SHARE)
    return structs.replace(ask, max_tokens=min(ask.max_tokens, words))
