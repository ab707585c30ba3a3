"""What a talk has its upstream do, seen from the upstream: a stand-in that answers by hand."""

import asyncio
import base64
import json
from typing import Any

from msgspec import structs

from duologue.core.talk import Ask, Call, CallPart, Done, Item, Part, Say, Tool
from duologue.engines.history import History
from duologue.engines.realtime.engine import RealtimeEngine
from duologue.engines.realtime.recent_sound import SOUND_KEPT_S, UNKNOWN_WORDS, RecentSound
from duologue.engines.realtime.upstream import Upstream
from engines.realtime.upstream_kit import (
    KEY,
    LOOK,
    SPEAK,
    Peer,
    engine,
    fault_of,
    said,
    said_next,
    standing_in,
    whole,
)

SECOND = bytes(48_000)


class Script:
    """A stand-in that answers every `response.create` in the same way and keeps what it saw."""

    def __init__(self, *events: dict[str, Any], ends: bool = True) -> None:
        self._events = events
        self._ends = ends
        self.peers: list[Peer] = []
        self.seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._count = 0

    async def __call__(self, peer: Peer) -> None:
        self.peers.append(peer)
        async for frame in peer.socket:
            event = json.loads(frame)
            self.seen.put_nowait(event)
            if event["type"] == "response.create":
                await self._answer(peer)

    async def _answer(self, peer: Peer) -> None:
        self._count += 1
        name = f"resp_{self._count}"
        await peer.send("response.created", response={"id": name})
        for event in self._events:
            fields = {key: value for key, value in event.items() if key != "type"}
            await peer.send(event["type"], response_id=name, **fields)
        if self._ends:
            await peer.send("response.done", response={"id": name, "status": "completed"})

    async def next(self, kind: str) -> dict[str, Any]:
        while (event := await self.seen.get())["type"] != kind:
            pass
        return event


def words(text: str, item_id: str = "up_1") -> dict[str, Any]:
    return {"type": "response.output_audio_transcript.delta", "item_id": item_id, "delta": text}


def sound(item_id: str = "up_1") -> dict[str, Any]:
    delta = base64.b64encode(SECOND).decode()
    return {"type": "response.output_audio.delta", "item_id": item_id, "delta": delta}


def whole_message(item_id: str = "up_1") -> dict[str, Any]:
    item = {"id": item_id, "type": "message", "status": "completed"}
    return {"type": "response.output_item.done", "item": item}


async def test_the_session_is_told_all_and_a_reply_only_what_differs() -> None:
    upstream = Script()
    tool = Tool("look", "Look.", {"type": "object"})
    ask = Ask(instructions="Be brief.", voice="tone", tools=(tool,), tool_choice="function:look")
    async with standing_in(upstream) as address, engine(address) as made:
        talk = await made.open(ask)
        await fault_of(talk.reply(ask))  # it has answered with words
        session = (await upstream.next("session.update"))["session"]
        assert session["audio"]["input"]["turn_detection"] is None
        assert session["audio"]["output"]["voice"] == "tone"
        assert session["tool_choice"] == {"type": "function", "name": "look"}
        plain = (await upstream.next("response.create"))["response"]
        assert set(plain) == {"metadata"}
        other = Ask(
            instructions="Sing.", voice="tone", speak=False, keep=False, context=(said("A"),)
        )
        await whole(talk.reply(other))
        aside = (await upstream.next("response.create"))["response"]
        assert (aside["instructions"], aside["output_modalities"]) == ("Sing.", ["text"])
        assert (aside["conversation"], aside["tools"]) == ("none", [])
        assert aside["input"][0]["content"] == [{"type": "input_text", "text": "A"}]


async def test_an_upstream_is_not_asked_for_a_voice_that_it_does_not_have() -> None:
    upstream = Script()
    async with standing_in(upstream) as address, engine(address) as made:
        talk = await made.open(Ask(voice="alloy"))
        await whole(talk.reply(Ask(voice="alloy")))
        talk.configure(Ask(voice="tone"))
        first = (await upstream.next("session.update"))["session"]
        second = (await upstream.next("session.update"))["session"]
        assert "voice" not in first["audio"]["output"]
        assert second["audio"]["output"]["voice"] == "tone"


async def test_items_go_to_their_places_and_away_again() -> None:
    upstream = Script()
    async with standing_in(upstream) as address, engine(address) as made:
        talk = await made.open(SPEAK)
        talk.put(said("Hello", "one"))
        talk.put(said("First", "zero"), "")
        talk.put(Item("two", "user", (Part(pcm=b"\1\2", media_id="two"),)), "one")
        talk.drop("one")
        creates = [await upstream.next("conversation.item.create") for _ in range(3)]
        assert [e.get("previous_item_id") for e in creates] == [None, "root", "one"]
        assert [e["item"]["id"] for e in creates] == ["one", "zero", "two"]
        audio = base64.b64encode(b"\1\2").decode()
        assert creates[2]["item"]["content"] == [{"type": "input_audio", "audio": audio}]
        assert (await upstream.next("conversation.item.delete"))["item_id"] == "one"


async def test_what_the_upstream_made_is_named_not_sent_again() -> None:
    arguments = '{"at":1}'
    call = {"id": "up_2", "type": "function_call", "name": "look", "call_id": "up_call"}
    upstream = Script(
        words("Let me look."),
        sound(),
        whole_message(),
        {"type": "response.output_item.done", "item": {**call, "arguments": arguments}},
    )
    async with standing_in(upstream) as address, engine(address, aligned=True) as made:
        talk = await made.open(LOOK)
        events = await whole(talk.reply(LOOK))
        assert next(e for e in events if isinstance(e, Call)).name == "look"
        talk.put(Item("mine_1", "assistant", (Part(text="Let me look."),)), "")
        talk.put(Item("mine_2", "call", call=CallPart("my_call", "look", arguments)), "mine_1")
        talk.put(Item("mine_3", "result", (Part(text="sunny"),), call_id="my_call"), "mine_2")
        created = await upstream.next("conversation.item.create")
        assert created["item"]["id"] == "mine_3" and created["item"]["call_id"] == "up_call"
        assert created["previous_item_id"] == "up_2"
        talk.cut("mine_1", 400, "Let me")
        cut = await upstream.next("conversation.item.truncate")
        assert (cut["item_id"], cut["content_index"], cut["audio_end_ms"]) == ("up_1", 0, 400)
        talk.drop("mine_1")
        assert (await upstream.next("conversation.item.delete"))["item_id"] == "up_1"


async def test_a_call_that_was_passed_over_is_deleted_there() -> None:
    calls = [
        {"id": name, "type": "function_call", "name": "look", "call_id": name, "arguments": "{}"}
        for name in ("up_1", "up_2")
    ]
    upstream = Script(*({"type": "response.output_item.done", "item": call} for call in calls))
    one_only = structs.replace(LOOK, parallel_calls=False)
    async with standing_in(upstream) as address, engine(address, aligned=True) as made:
        talk = await made.open(one_only)
        await whole(talk.reply(one_only))
        talk.put(Item("mine", "call", call=CallPart("my_call", "look", "{}")))
        await whole(talk.reply(one_only))
        deleted = await asyncio.wait_for(upstream.next("conversation.item.delete"), 5)
        assert deleted["item_id"] == "up_2"


async def test_an_upstream_without_truncation_gets_the_heard_words_instead() -> None:
    upstream = Script(words("It is sunny."), sound(), whole_message())
    async with standing_in(upstream) as address, engine(address, aligned=True) as made:
        talk = await made.open(SPEAK)
        talk.put(said("Hello", "mine_0"))
        await whole(talk.reply(SPEAK))
        talk.put(Item("mine_1", "assistant", (Part(text="It is sunny."),)), "mine_0")
        talk.cut("mine_1", 400, "It is")
        cut = await upstream.next("conversation.item.truncate")
        error = {"code": "invalid_value", "message": "Unknown.", "event_id": cut["event_id"]}
        await upstream.peers[0].send("error", error=error)
        assert (await upstream.next("conversation.item.delete"))["item_id"] == "up_1"
        created = await upstream.next("conversation.item.create")
        assert created["previous_item_id"] == "mine_0"
        assert created["item"]["content"] == [{"type": "output_text", "text": "It is"}]


async def test_an_interruption_cancels_and_truncates_to_what_was_passed_on() -> None:
    upstream = Script(words("It is"), sound(), words(" sunny."), sound(), ends=False)
    async with standing_in(upstream) as address, engine(address, aligned=True) as made:
        talk = await made.open(SPEAK)
        reply = talk.reply(SPEAK)
        heard = [await said_next(reply) for _ in range(2)]
        assert heard == [Say("It is", tokens=1), Say("", SECOND, 5)]
        talk.put(Item("mine_1", "assistant", (Part(text="It is"),)), "")
        await reply.aclose()
        cancel = await upstream.next("response.cancel")
        assert cancel["response_id"] == "resp_1"
        cut = await upstream.next("conversation.item.truncate")
        assert (cut["item_id"], cut["audio_end_ms"]) == ("up_1", 1000)


async def test_the_next_reply_waits_until_the_cancelled_one_has_ended() -> None:
    upstream = Script(words("It is"), ends=False)
    async with standing_in(upstream) as address, engine(address) as made:
        talk = await made.open(SPEAK)
        reply = talk.reply(SPEAK)
        await said_next(reply)
        await reply.aclose()
        assert (await upstream.next("response.cancel"))["response_id"] == "resp_1"
        task = asyncio.create_task(said_next(talk.reply(SPEAK)))
        deleted = await upstream.next("conversation.item.delete")
        assert deleted["item_id"] == "up_1"  # the core never put it
        assert upstream.seen.empty()
        await upstream.peers[0].send(
            "response.done", response={"id": "resp_1", "status": "cancelled"}
        )
        assert await task == Say("It is", tokens=1)


async def test_an_upstream_that_never_ends_what_was_cancelled_is_asked_all_the_same() -> None:
    upstream = Script(words("It is"), ends=False)
    async with standing_in(upstream) as address, engine(address, settle_s=0.05) as made:
        talk = await made.open(SPEAK)
        for _ in range(2):
            reply = talk.reply(SPEAK)
            await said_next(reply)
            await reply.aclose()


async def test_replies_beside_the_conversation_run_side_by_side() -> None:
    upstream = Script(words("Yes"), ends=False)
    aside = Ask(keep=False)
    async with standing_in(upstream) as address, engine(address) as made:
        talk = await made.open(SPEAK)
        replies = [talk.reply(aside), talk.reply(SPEAK), talk.reply(aside)]
        assert [await said_next(reply) for reply in replies] == [Say("Yes", tokens=1)] * 3
        for name in ("resp_3", "resp_1", "resp_2"):
            response = {"id": name, "status": "completed"}
            await upstream.peers[0].send("response.done", response=response)
        assert [await said_next(reply) for reply in replies] == [Done()] * 3


async def test_new_talks_go_where_there_are_fewest() -> None:
    one, other = Script(), Script()
    async with standing_in(one) as first, standing_in(other) as second:
        made = RealtimeEngine([Upstream(first, KEY), Upstream(second, KEY)])
        talks = [await made.open(SPEAK) for _ in range(4)]
        for talk in talks:
            await whole(talk.reply(SPEAK))
        assert (len(one.peers), len(other.peers)) == (2, 2)
        for talk in talks[::2]:
            await talk.aclose()
        for talk in [await made.open(SPEAK), await made.open(SPEAK)]:
            await whole(talk.reply(SPEAK))
        assert (len(one.peers), len(other.peers)) == (4, 2)
        await made.aclose()


async def test_a_closed_talk_leaves_no_task_and_no_session() -> None:
    upstream = Script()
    async with standing_in(upstream) as address, engine(address) as made:
        talk = await made.open(SPEAK)
        await whole(talk.reply(SPEAK))
        await talk.aclose()
        await talk.aclose()
        await upstream.peers[0].socket.wait_closed()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "upstream"]


async def test_a_talk_whose_opening_is_cancelled_is_closed() -> None:
    come = asyncio.Event()

    async def say_nothing(peer: Peer) -> None:
        come.set()
        await peer.socket.wait_closed()

    async with standing_in(say_nothing, greets=False) as address, engine(address) as made:
        opening = asyncio.ensure_future(made.open(SPEAK))
        await come.wait()
        opening.cancel()
        await asyncio.wait([opening])
        assert opening.cancelled()
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "upstream"]


def test_old_sound_gives_way_to_words() -> None:
    history = History()
    sound = RecentSound(history)
    minute = bytes(60 * 48_000)

    def put(number: int, words: str | None = None) -> None:
        item = Item(f"item_{number}", "user", (Part(words, minute),))
        history.put(item)
        sound.put(item)

    for number in range(SOUND_KEPT_S // 60 + 2):
        put(number, "Hello" if number == 0 else None)
    items = history.items
    assert [item.parts[0].pcm for item in items[:3]] == [None, None, minute]
    assert [item.parts[0].text for item in items[:3]] == ["Hello", UNKNOWN_WORDS, None]
    for gone in ("item_5", "item_5", "nowhere"):
        history.drop(gone)
        sound.drop(gone)
    put(100)  # in the place of the one that is gone
    assert history.items[2].parts[0].pcm == minute


async def test_a_call_of_a_cancelled_reply_that_is_named_too_late_harms_no_other() -> None:
    ask = structs.replace(LOOK, tools=(*LOOK.tools, Tool("listen")), tool_choice="function:look")

    async def upstream(peer: Peer) -> None:
        call = {"id": "item_call", "type": "function_call", "call_id": "call_1"}
        asked = await peer.next("response.create")
        await peer.send("response.created", response=answer_to(asked, "resp_1"))
        await peer.send("response.output_item.added", response_id="resp_1", item=call)
        text = {"response_id": "resp_1", "item_id": "item_text", "delta": "Hm"}
        await peer.send("response.output_text.delta", **text)
        await peer.next("response.cancel")
        await peer.next("conversation.item.delete")  # the next reply has been asked for
        named = {**call, "name": "listen", "arguments": "{}", "status": "completed"}
        await peer.send("response.output_item.done", response_id="resp_1", item=named)
        await peer.send("response.done", response={"id": "resp_1", "status": "cancelled"})
        asked = await peer.next("response.create")
        await peer.send("response.created", response=answer_to(asked, "resp_2"))
        text = {"response_id": "resp_2", "item_id": "item_2", "delta": "Fine."}
        await peer.send("response.output_text.delta", **text)
        await peer.send("response.done", response={"id": "resp_2", "status": "completed"})
        await peer.socket.wait_closed()

    async with standing_in(upstream) as address, engine(address) as made:
        talk = await made.open(ask)
        reply = talk.reply(ask)
        assert await said_next(reply) == Say("Hm", tokens=1)
        await reply.aclose()
        plain = structs.replace(SPEAK, tools=())
        assert Say("Fine.", tokens=1) in await whole(talk.reply(plain))


def answer_to(asked: dict[str, Any], response_id: str) -> dict[str, Any]:
    """The response to a `response.create`, which says so."""
    return {"id": response_id, "metadata": asked["response"]["metadata"]}
