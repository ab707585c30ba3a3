"""Several upstreams: one that is full, dead or hangs costs nobody a turn while another is well."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from msgspec import structs

from duologue.core.talk import Done, Say
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.engines.realtime.upstreams import Upstreams
from duologue.errors import EngineBusy, EngineFault
from duologue.runtime.ports import LiveTalk
from engines.realtime.test_bad_upstream import answering, listen
from engines.realtime.upstream_kit import (
    KEY,
    SPEAK,
    Peer,
    engine,
    fault_of,
    looked_after,
    said,
    said_next,
    standing_in,
    whole,
)


@asynccontextmanager
async def several(addresses: Sequence[str], **options: Any) -> AsyncIterator[RealtimeEngine]:
    made = RealtimeEngine([Upstream(address, KEY) for address in addresses], **options)
    try:
        yield made
    finally:
        await made.aclose()


async def answer(peer: Peer) -> None:
    for number in range(9):
        await peer.next("response.create")
        response_id = f"resp_{number}"
        await peer.send("response.created", response={"id": response_id})
        await peer.send("response.output_text.delta", response_id=response_id, delta="Well")
        await peer.send("response.done", response={"id": response_id, "status": "completed"})


async def full(peer: Peer) -> None:
    await peer.send("error", error={"code": "session_limit_reached", "message": "All taken."})
    await peer.socket.close(1013, "full")


def words(events: Sequence[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, Say))


async def test_where_one_is_full_newcomers_go_to_another() -> None:
    places = [None]

    async def small(peer: Peer) -> None:
        if not places:
            return await full(peer)
        places.pop()
        await peer.send("session.created", session={})
        await answer(peer)

    async with standing_in(small, greets=False) as one, standing_in(answer) as other:
        async with several([one, other]) as both:
            for _ in range(5):
                talk = await both.open(SPEAK)
                assert words(await whole(talk.reply(SPEAK))) == "Well"


async def test_where_one_is_over_its_limits_nobody_is_turned_away() -> None:
    refusing = standing_in(listen, process_request=answering(429, ""))
    async with refusing as one, standing_in(answer) as other, several([one, other]) as both:
        talk = await both.open(SPEAK)
        assert words(await whole(talk.reply(SPEAK))) == "Well"


async def test_where_all_are_full_that_is_told_at_the_door() -> None:
    async with standing_in(full, greets=False) as one, standing_in(full, greets=False) as two:
        for addresses in ([one, two], [one, "ws://127.0.0.1:9"]):
            async with several(addresses) as all_full:
                with pytest.raises(EngineBusy, match="All taken"):
                    await all_full.open(SPEAK)


@pytest.mark.parametrize("how", ["closes", "babbles"])
async def test_a_reply_of_which_nothing_was_said_is_asked_for_elsewhere(how: str) -> None:
    seen: list[Peer] = []

    async def die(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        if how == "babbles":
            await peer.socket.send("<html>")
            await peer.socket.wait_closed()

    async def note(peer: Peer) -> None:
        seen.append(peer)
        await answer(peer)

    async with standing_in(die) as one, standing_in(note) as other:
        async with several([one, other]) as both:
            talk = await both.open(SPEAK)
            talk.put(said("Hello"))
            assert words(await whole(talk.reply(SPEAK))) == "Well"
            assert words(await whole(talk.reply(SPEAK))) == "Well"
    kinds = [event["type"] for event in seen[0].seen]
    assert kinds.count("response.create") == 2 and kinds.count("conversation.item.create") == 1


async def test_a_reply_that_was_begun_fails_and_the_next_is_asked_for_elsewhere() -> None:
    async def die(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.output_text.delta", response_id="resp_1", delta="It is")

    async with standing_in(die) as one, standing_in(answer) as other:
        async with several([one, other]) as both:
            talk = await both.open(SPEAK)
            reply = talk.reply(SPEAK)
            assert await said_next(reply) == Say("It is", tokens=1)
            with pytest.raises(EngineFault):
                await anext(reply)
            assert words(await whole(talk.reply(SPEAK))) == "Well"
            newcomer = await both.open(SPEAK)
            assert words(await whole(newcomer.reply(SPEAK))) == "Well"


async def test_a_reply_that_all_fail_to_give_fails() -> None:
    async def die(peer: Peer) -> None:
        await peer.next("response.create")

    async with standing_in(die) as one, standing_in(die) as other, several([one, other]) as both:
        talk = await both.open(SPEAK)
        assert (await fault_of(talk.reply(SPEAK))).message.startswith("The upstream closed")


async def test_one_that_hangs_at_the_upgrade_is_passed_over() -> None:
    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(mute, "127.0.0.1", 0) as hole,
        standing_in(answer) as well,
    ):
        one = f"ws://127.0.0.1:{hole.sockets[0].getsockname()[1]}/v1/realtime"
        async with several([one, well], connect_s=0.1) as both:
            talk = await both.open(SPEAK)
            assert words(await whole(talk.reply(SPEAK))) == "Well"


async def test_a_session_that_hangs_is_left_and_another_begun() -> None:
    sessions: list[Peer] = []

    async def swallow(peer: Peer) -> None:
        sessions.append(peer)
        await (answer(peer) if len(sessions) > 1 else peer.socket.wait_closed())

    async with standing_in(swallow) as address, engine(address, silence_s=0.1) as upstream:
        talk = await upstream.open(SPEAK)
        fault = await fault_of(talk.reply(SPEAK))
        assert fault.message == "The upstream has said nothing for 0.1 seconds."
        assert words(await whole(talk.reply(SPEAK))) == "Well"


async def test_a_reply_that_waits_beside_another_does_not_end_the_session() -> None:
    sessions: list[Peer] = []

    async def one_at_a_time(peer: Peer) -> None:
        sessions.append(peer)
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        while True:
            await peer.send("response.output_text.delta", response_id="resp_1", delta="la ")
            await asyncio.sleep(0.01)

    async with standing_in(one_at_a_time) as address, engine(address, silence_s=0.2) as upstream:
        talk = await upstream.open(SPEAK)
        long = talk.reply(SPEAK)
        await said_next(long)
        reading = asyncio.ensure_future(_drain(long))
        await fault_of(talk.reply(SPEAK))
        assert len(sessions) == 1 and not reading.done()
        reading.cancel()


async def _drain(reply: Any) -> None:
    async for event in reply:
        assert not isinstance(event, Done)


class Ailing(Upstream):
    """It is well once it has been looked at often enough."""

    looks = 2

    async def is_well(self) -> bool:
        self.looks -= 1
        return self.looks <= 0


async def test_one_that_failed_is_asked_last_until_a_look_finds_it_well() -> None:
    one, other = Ailing("ws://a"), Upstream("ws://b")
    both = Upstreams([one, other], check_s=0.001)
    assert both.pick() is one
    both.begin(one)
    both.end(one, EngineFault("gone"))
    both.begin(other)
    assert both.pick() is other and both.pick({other}) is one
    await looked_after(one)
    assert both.pick() is one and one.looks == 0
    await both.aclose()


async def test_one_that_was_away_from_the_start_is_asked_last() -> None:
    one, other = Ailing("ws://a"), Upstream("ws://b")
    both = Upstreams([one, other], [one], check_s=60)
    assert both.pick() is other
    both.answered(one)
    assert both.pick() is one
    await both.aclose()


async def test_a_full_one_is_asked_last_until_a_session_there_ends() -> None:
    one, other = Upstream("ws://a"), Upstream("ws://b")
    both = Upstreams([one, other])
    both.begin(one)
    both.begin(one)
    both.end(one, EngineFault("full", "session_limit_reached"))
    for _ in range(5):
        both.begin(other)
    assert both.pick() is other
    both.end(one, None)
    assert both.pick() is one


async def test_one_alone_is_not_looked_at() -> None:
    one = Ailing("ws://a")
    alone = Upstreams([one], [one], check_s=0)
    alone.begin(one)
    alone.end(one, EngineFault("gone"))
    await alone.aclose()
    assert alone.pick() is one and one.looks == 2


async def test_a_full_duplex_talk_begins_at_one_that_has_room_and_goes_on_at_another() -> None:
    sessions: list[str] = []

    def model(name: str, lives: bool) -> Any:
        async def speak(peer: Peer) -> None:
            sessions.append(name)
            await peer.next("session.update")
            await peer.send("response.created", response={"id": "r1"})
            await peer.send("response.output_text.delta", response_id="r1", delta=name)
            if lives:
                await peer.socket.wait_closed()
            else:
                await peer.socket.close(1011)

        return speak

    traits = structs.replace(OPEN_TRAITS, duplex=True)
    async with (
        standing_in(full, greets=False) as one,
        standing_in(model("two", lives=False)) as two,
        standing_in(model("three", lives=True)) as three,
        several([one, two, three], traits=traits, aligned=True) as all_three,
    ):
        talk = cast(LiveTalk, await all_three.open(SPEAK))
        heard: list[str] = []
        with pytest.raises(EngineFault):
            async for event in talk.live(SPEAK):
                heard += [event.text] if isinstance(event, Say) else []
        async for event in talk.live(SPEAK):
            if isinstance(event, Say):
                heard.append(event.text)
                break
    assert sessions == ["two", "three"] and heard[-1] == "three"


@pytest.mark.parametrize(("code", "is_well"), [(1000, True), (1001, False), (1011, False)])
async def test_one_that_ends_a_session_in_good_order_is_well(code: int, is_well: bool) -> None:
    async def expire(peer: Peer) -> None:
        await peer.next("response.create")
        await peer.send("response.created", response={"id": "resp_1"})
        await peer.send("response.done", response={"id": "resp_1", "status": "completed"})
        await peer.socket.close(code, "session expired")

    async with standing_in(expire) as one, standing_in(answer) as other:
        async with several([one, other], check_s=60) as both:
            talk = await both.open(SPEAK)
            (link,) = [task for task in asyncio.all_tasks() if task.get_name() == "upstream"]
            await whole(talk.reply(SPEAK))
            await asyncio.wait([link])
            names = {task.get_name() for task in asyncio.all_tasks()}
    assert (one.split("/")[2] not in names) is is_well
