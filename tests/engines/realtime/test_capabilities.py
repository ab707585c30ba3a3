"""What full-duplex models of another kind of server state, and what is claimed of them for it."""

from typing import Any

import pytest
from msgspec import structs

from duologue.engines.realtime.capabilities import (
    NATIVE,
    UNKNOWN,
    Capabilities,
    borne_out,
    capabilities,
)
from duologue.engines.realtime.upstream import OPEN_TRAITS
from duologue.testing.duplex_stand_in import MINICPM, PERSONAPLEX, QWEN

ABLE = Capabilities(is_native=True, interrupts=True, truncates=True, takes_images=True)
DUPLEX = structs.replace(OPEN_TRAITS, duplex=True, rewinds=False)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        pytest.param(MINICPM, Capabilities(True, True, True), id="minicpm"),
        pytest.param(PERSONAPLEX, Capabilities(True, False, False), id="personaplex"),
        pytest.param(QWEN, Capabilities(False, True, True, True), id="qwen"),
        pytest.param({}, UNKNOWN, id="nothing"),
        pytest.param({"implementation_level": [NATIVE]}, UNKNOWN, id="level-list"),
        pytest.param({"supports_audio_truncate": "yes"}, UNKNOWN, id="truncate-word"),
        pytest.param({"supports_barge_in": 1}, UNKNOWN, id="barge-in-number"),
    ],
)
def test_what_is_stated_is_read_and_nothing_else(
    shown: dict[str, Any], expected: Capabilities
) -> None:
    assert capabilities({"id": "s", "capabilities": shown}) == expected


@pytest.mark.parametrize("session", [None, [], "x", {}, {"capabilities": None}])
def test_a_session_that_shows_none_states_none(session: Any) -> None:
    assert capabilities(session) is None


def test_one_that_can_be_interrupted_and_does_not_say_more_is_tried_to_be_truncated() -> None:
    assert Capabilities(interrupts=True).may_truncate and not UNKNOWN.may_truncate
    assert not Capabilities(interrupts=True, truncates=False).may_truncate
    assert not borne_out(DUPLEX, [Capabilities(interrupts=True)]).rewinds, "nor is it claimed"


@pytest.mark.parametrize(
    ("stated", "whole", "rewinds", "sees", "reads"),
    [
        pytest.param([ABLE], True, True, True, True, id="able"),
        pytest.param([UNKNOWN], False, False, False, True, id="nothing"),
        pytest.param([ABLE, ABLE], True, True, True, True, id="both"),
        pytest.param([ABLE, UNKNOWN], False, False, False, True, id="one-of-two"),
        pytest.param([Capabilities(True, False, False)], True, False, False, True, id="no-rewind"),
        pytest.param([Capabilities(truncates=True)], False, True, False, True, id="turn-based"),
        pytest.param(
            [ABLE, structs.replace(ABLE, takes_images=False)], True, True, False, False, id="blind"
        ),
    ],
)
def test_no_more_is_claimed_than_all_state(
    stated: list[Capabilities], whole: bool, rewinds: bool, sees: bool, reads: bool
) -> None:
    traits = borne_out(DUPLEX, stated)
    assert traits.shown().end_to_end == whole
    assert (traits.rewinds, traits.sees, traits.reads_images) == (rewinds, sees, reads)


def test_what_the_owner_has_said_stands() -> None:
    whole = structs.replace(DUPLEX, hears=True, speaks=True, sees=True)
    traits = borne_out(whole, [Capabilities(takes_images=False)])
    assert traits.shown().end_to_end and traits.sees
    blind = structs.replace(DUPLEX, reads_images=False)
    assert not borne_out(blind, [ABLE]).takes_images
