"""What the engine knows of upstreams that were away."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.traits import Common
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import ConfigFault, EngineBusy
from engines.realtime.upstream_kit import looked_after

AWAY = (Upstream("ws://127.0.0.1:9/v1"),)
DUPLEX = structs.replace(OPEN_TRAITS, duplex=True)


def engine(ask_again: Any, **options: Any) -> RealtimeEngine:
    return RealtimeEngine(AWAY, ask_again=ask_again, away=AWAY, **options)


async def test_they_are_asked_until_all_have_told() -> None:
    answers = [Common(OPEN_TRAITS, False, AWAY), Common(DUPLEX, True)]

    async def ask() -> Common:
        return answers.pop(0)

    one = engine(ask)
    looks = [await one.look() for _ in range(3)]
    assert looks == [OPEN_TRAITS, DUPLEX, DUPLEX] and one.traits == DUPLEX and not answers


async def test_many_sessions_wait_for_one_that_hangs_no_longer_than_one_does() -> None:
    asked: list[None] = []

    async def hang() -> Common:
        asked.append(None)
        await asyncio.Event().wait()
        raise AssertionError("it hangs")

    one = engine(hang, look_s=0.05)
    assert await asyncio.gather(*(one.look() for _ in range(20))) == [OPEN_TRAITS] * 20
    assert len(asked) == 1


async def test_that_they_do_not_fit_is_told_without_their_addresses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ask() -> Common:
        raise ConfigFault("upstream: 10.0.0.5 is full-duplex, 10.0.0.6 is not")

    with pytest.raises(EngineBusy) as caught:
        await engine(ask).look()
    assert "10.0.0.5" not in str(caught.value) and "10.0.0.5" in caplog.text


async def test_what_is_known_is_not_asked() -> None:
    assert await RealtimeEngine([Upstream("ws://127.0.0.1:9/v1")], DUPLEX).look() == DUPLEX


async def test_of_several_one_that_was_away_is_asked_beside_the_sessions() -> None:
    class Returned(Upstream):
        async def is_well(self) -> bool:
            return True

    answers = [Common(DUPLEX, True)]

    async def ask() -> Common:
        return answers.pop(0)

    away, there = Returned("ws://127.0.0.1:9/v1"), Upstream("ws://127.0.0.1:8/v1")
    one = RealtimeEngine([away, there], ask_again=ask, away=[away], check_s=0)
    assert await one.look() == OPEN_TRAITS and answers  # no session waits for it
    await looked_after(away)
    assert await one.look() == DUPLEX
    await one.aclose()


async def test_one_that_does_not_fit_when_it_is_back_is_told_to_whoever_comes() -> None:
    class Returned(Upstream):
        async def is_well(self) -> bool:
            return True

    asked: list[None] = []

    async def ask() -> Common:
        asked.append(None)
        raise ConfigFault("upstream: they do not fit")

    away, there = Returned("ws://127.0.0.1:9/v1"), Upstream("ws://127.0.0.1:8/v1")
    one = RealtimeEngine([away, there], ask_again=ask, away=[away], check_s=0)
    await looked_after(away)
    assert len(asked) == 1
    with pytest.raises(EngineBusy):
        await one.look()
    await one.aclose()
