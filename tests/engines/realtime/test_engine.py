"""What the engine knows of upstreams that were away."""

import asyncio
from typing import Any

import pytest
from msgspec import structs

from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.traits import Common
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import ConfigFault, EngineBusy

DUPLEX = structs.replace(OPEN_TRAITS, duplex=True)


def engine(ask_again: Any, **options: Any) -> RealtimeEngine:
    upstreams = [Upstream("ws://127.0.0.1:9/v1")]
    return RealtimeEngine(upstreams, ask_again=ask_again, is_whole=False, **options)


async def test_they_are_asked_until_all_have_told() -> None:
    answers = [Common(OPEN_TRAITS, False, False), Common(DUPLEX, True, True)]

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
