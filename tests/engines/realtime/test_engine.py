"""What the engine knows of upstreams that were away, and of duologues that change."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from msgspec import structs

from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.traits import Common
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import ConfigFault, EngineBusy
from duologue.runtime.ports import Traits
from engines.realtime.upstream_kit import SPEAK, Peer, looked_after, standing_in

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


@pytest.mark.parametrize("late_s", [None, 0.04])
async def test_many_sessions_wait_for_one_that_hangs_no_longer_than_one_does(
    late_s: float | None,
) -> None:
    asked: list[None] = []

    async def hang() -> Common:
        asked.append(None)
        try:
            async with asyncio.timeout(late_s):
                await asyncio.Event().wait()
        except TimeoutError:
            return Common(OPEN_TRAITS, False, AWAY)
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


class Duologue:
    """Another duologue, with `traits`: its sessions show them, and `told` is its own word."""

    def __init__(self, context_tokens: int) -> None:
        self.become(context_tokens)

    def become(self, context_tokens: int) -> None:
        self.traits = structs.replace(OPEN_TRAITS, context_tokens=context_tokens)

    @asynccontextmanager
    async def standing(self) -> AsyncIterator[Upstream]:
        async with standing_in(self._greet, greets=False) as address:
            yield Upstream(address)

    async def _greet(self, peer: Peer) -> None:
        card = {"traits": msgspec.to_builtins(self.traits.shown())}
        await peer.send("session.created", session={"duologue": card})
        await peer.socket.wait_closed()


async def converse(one: RealtimeEngine, sessions: int = 1) -> Traits:
    """Begin sessions side by side; what the engine is after a look before the next."""
    async with asyncio.timeout(5):
        talks = [await one.open(SPEAK) for _ in range(sessions)]
        for talk in talks:
            await talk.aclose()
        return await one.look()


async def test_each_duologue_is_compared_with_itself() -> None:
    small, large = Duologue(5000), Duologue(9000)
    asked: list[None] = []
    async with small.standing() as first, large.standing() as second:

        async def ask() -> Common:
            asked.append(None)
            own = {first: small.traits, second: large.traits}
            return Common(min(own.values(), key=lambda one: one.context_tokens), True, (), own)

        common = await ask()
        one = RealtimeEngine(
            [first, second], common.traits, aligned=True, ask_again=ask, own=common.own
        )
        for _ in range(2):
            assert await converse(one, 2) == small.traits
        assert len(asked) == 1, "they differ, and neither has changed"
        large.become(5000)  # what all have in common already
        assert await converse(one, 2) == small.traits
        assert len(asked) == 2, "that is news: it was another"
        small.become(7000)
        large.become(8000)
        assert (await converse(one, 2)).context_tokens == 7000
        await converse(one, 2)
        assert len(asked) == 3
        await one.aclose()


async def test_one_that_was_away_when_another_changed_is_news_as_it_was() -> None:
    one, other = Duologue(9000), Duologue(5000)
    answers: list[Common] = []
    async with one.standing() as first, other.standing() as second:

        async def ask() -> Common:
            return answers.pop(0)

        own = {first: one.traits, second: other.traits}
        both = RealtimeEngine([first, second], other.traits, aligned=True, ask_again=ask, own=own)
        one.become(8000)
        answers.append(Common(one.traits, True, (second,), {first: one.traits}))
        assert (await converse(both)).context_tokens == 8000, "no more is known"
        own = {first: one.traits, second: other.traits}
        answers.append(Common(other.traits, True, (), own))
        assert (await converse(both, 2)).context_tokens == 5000 and not answers
        await both.aclose()


async def test_one_that_was_away_is_taken_for_one_like_the_others_until_it_shows_more() -> None:
    present, away = Duologue(5000), Duologue(5000)
    asked: list[None] = []
    async with present.standing() as first, away.standing() as second:

        async def ask() -> Common:
            asked.append(None)
            own = {first: present.traits, second: away.traits}
            return Common(away.traits, True, (), own)

        given: dict[str, Any] = {"aligned": True, "own": {first: present.traits}}
        one = RealtimeEngine([first, second], present.traits, ask_again=ask, **given)
        await converse(one, 2)
        assert not asked
        away.become(4000)
        assert (await converse(one, 2)).context_tokens == 4000 and len(asked) == 1
        await one.aclose()


async def test_what_is_shown_while_they_are_asked_is_asked_about_once_more() -> None:
    model = Duologue(5000)
    asked, may_answer = asyncio.Event(), asyncio.Event()
    async with model.standing() as upstream:

        async def ask() -> Common:
            told = model.traits
            asked.set()
            await may_answer.wait()
            return Common(told, True, (), {upstream: told})

        own = {upstream: model.traits}
        one = RealtimeEngine([upstream], model.traits, aligned=True, ask_again=ask, own=own)
        model.become(6000)
        looking = asyncio.ensure_future(converse(one))
        await asked.wait()
        model.become(7000)
        talk = await one.open(SPEAK)  # which shows it
        await talk.aclose()
        may_answer.set()
        assert (await looking).context_tokens == 6000, "as it was when it was asked"
        for _ in range(2):
            assert (await one.look()).context_tokens == 7000
        await one.aclose()
