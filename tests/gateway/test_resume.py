"""Coming back to a session over real sockets: nothing lost or doubled, and only by its client."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI

from duologue.core.settings import SessionConfig
from duologue.core.talk import Ask
from duologue.engines.scripted import (
    LoudnessActivity,
    LoudnessTurnEnd,
    Script,
    ScriptedEngine,
    ScriptedTranscriber,
    tone,
)
from duologue.gateway.resumption import Resumption
from duologue.runtime.runner import Runner
from live_server import KEY, Caller, Serve, call, open_sessions, scripted, serving, until_free
from oracle import validate_server_event
from waiting import logged

ASK = "model=gpt-realtime&duologue_resume=1"
WORDS = "one two three four five six seven eight nine ten eleven twelve"
REFUSED = "resume_token_invalid"
SLOW = "replies = [{text = '" + WORDS + "', word_delay_ms = 50}]"


class Client(Caller):
    """A client that remembers every event it got."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller.socket)
        self.events: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        text = await self.socket.recv()
        if len(text) < 10_000:  # sound has been looked at elsewhere
            validate_server_event(str(text))
        self.events.append(json.loads(text))
        return self.events[-1]

    @property
    def ids(self) -> list[str]:
        return [event["event_id"] for event in self.events]

    def cut(self) -> None:
        """The TCP connection goes, without a word."""
        self.socket.transport.abort()


@asynccontextmanager
async def connection(base_url: str, query: str = ASK, **options: Any) -> AsyncIterator[Client]:
    async with call(base_url, query, **options) as caller:
        yield Client(caller)


def back(created: dict[str, Any], after: str | None = None) -> str:
    token = created["session"]["duologue"]["resume"]["token"]
    return f"model=gpt-realtime&duologue_resume={token}" + (f"&after={after}" if after else "")


async def refused(base_url: str, query: str, code: str) -> None:
    async with connection(base_url, query) as client:
        event = await client.receive()
        assert (event["type"], event["error"]["code"]) == ("error", code)
        assert await client.closed() == (4000, f"invalid_request_error.{code}")


def heard(events: list[dict[str, Any]]) -> str:
    kind = "response.output_audio_transcript.delta"
    return "".join(event["delta"] for event in events if event["type"] == kind)


def shape(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events if event["type"] != "session.created"]


async def test_a_session_that_may_be_resumed_says_how(serve: Serve) -> None:
    async with serve(scripted(resume_grace_s=7)) as base_url:
        async with connection(base_url) as client:
            offer = (await client.next("session.created"))["session"]["duologue"]["resume"]
            assert offer["grace_s"] == 7 and len(offer["token"]) > 40
            await client.send("session.update", session={"type": "realtime"})
            assert "duologue" not in (await client.next("session.updated"))["session"]


@pytest.fixture(scope="module")
def uncut() -> list[str]:
    """The types of all events of a conversation that is not cut."""

    async def play() -> list[str]:
        async with serving(scripted(script=SLOW)) as base_url, connection(base_url) as client:
            await client.ask("Count.")
            await client.next("response.done")
            return shape(client.events)

    return asyncio.run(play())


@pytest.mark.parametrize("cut_at", [1, 2, 6, 12, 20])
async def test_a_connection_cut_in_mid_response_goes_on_where_it_was(
    cut_at: int, uncut: list[str], serve: Serve
) -> None:
    async with serve(scripted(script=SLOW)) as base_url:
        async with connection(base_url) as before:
            await before.ask("Count.")
            for _ in range(cut_at):
                await before.receive()
            before.cut()
        async with connection(base_url, back(before.events[0], before.ids[-1])) as after:
            created = await after.receive()
            assert created["type"] == "session.created"
            assert created["session"]["id"] == before.events[0]["session"]["id"]
            done = await after.next("response.done")
            events = before.events + after.events
            assert heard(events) == WORDS and shape(events) == uncut
            ids = [event["event_id"] for event in events]
            assert len(set(ids)) == len(ids)
            item = done["response"]["output"][0]
            assert (item["status"], item["content"][0]["transcript"]) == ("completed", WORDS)
            await after.send("conversation.item.retrieve", item_id=item["id"])
            kept = (await after.next("conversation.item.retrieved"))["item"]
            assert kept["content"][0]["transcript"] == WORDS
            assert len(base64.b64decode(kept["content"][0]["audio"])) == 12 * 240 * 48


async def test_a_client_that_names_no_event_gets_what_had_not_left(serve: Serve) -> None:
    script = "replies = [{text = 'one two', first_delay_ms = 300}]"
    async with serve(scripted(script=script)) as base_url:
        async with connection(base_url) as before:
            await before.ask("Count.")
            await before.next("response.created")
            before.cut()  # all that was sent has been read
        async with connection(base_url, back(before.events[0])) as after:
            await after.next("session.created")
            await after.next("response.done")
            assert not set(after.ids) & set(before.ids)
            assert heard(after.events) == "one two"


async def test_settings_and_history_are_as_they_were(serve: Serve) -> None:
    async with serve(scripted()) as base_url, connection(base_url) as before:
        await before.next("session.created")
        settings = {"type": "realtime", "instructions": "Be kind.", "output_modalities": ["text"]}
        await before.send("session.update", session=settings)
        await before.ask("Remember me.")
        await before.next("response.done")
        before.cut()
        async with connection(base_url, back(before.events[0], before.ids[-1])) as after:
            created = await after.receive()
            assert created["session"]["instructions"] == "Be kind."
            assert created["session"]["output_modalities"] == ["text"]
            await after.send("response.create")
            done = await after.next("response.done")
            assert done["response"]["output"][0]["content"][0]["text"] == "You said: Remember me."
            assert len(after.events) == 2 + shape(after.events).index("response.done")


async def test_a_session_may_be_resumed_again_and_again(serve: Serve) -> None:
    async with serve(scripted(script=SLOW)) as base_url:
        query, events = ASK, []
        for turn in range(6):
            async with connection(base_url, query) as client:
                if turn == 0:
                    await client.ask("Count.")
                created = await client.receive()
                for _ in range(3):
                    await client.receive()
                client.cut()
            events += client.events
            query = back(created, client.ids[-1])
        async with connection(base_url, query) as client:
            await client.next("response.done")
        events += client.events
        assert heard(events) == WORDS
        ids = [event["event_id"] for event in events]
        assert len(set(ids)) == len(ids)


async def test_a_client_that_does_not_come_back_leaves_nothing_behind(serve: Serve) -> None:
    async with serve(scripted(script=SLOW, resume_grace_s=1, max_sessions=1)) as base_url:
        async with connection(base_url) as client:
            await client.ask("Count.")
            created = await client.next("session.created")
            client.cut()
        assert await open_sessions(base_url) == 1  # it waits, and takes up its place
        await refused(base_url, "model=gpt-realtime&duologue_resume=resume_x", REFUSED)
        await until_free(base_url)
        await refused(base_url, back(created), REFUSED)
        async with connection(base_url) as client:
            await client.next("session.created")


async def test_a_clean_close_ends_the_session_at_once(serve: Serve) -> None:
    async with serve(scripted(resume_grace_s=3600)) as base_url:
        async with connection(base_url) as client:
            created = await client.next("session.created")
        await until_free(base_url)
        await refused(base_url, back(created), REFUSED)


@pytest.mark.parametrize("code", [1001, 3999])
async def test_a_close_that_is_not_the_clients_good_bye_keeps_it(code: int, serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        async with connection(base_url) as client:
            created = await client.next("session.created")
            await client.socket.close(code)
        async with connection(base_url, back(created)) as client:
            assert (await client.receive())["session"]["id"] == created["session"]["id"]


async def test_a_token_is_good_once(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        async with connection(base_url) as client:
            first = await client.next("session.created")
            client.cut()
        async with connection(base_url, back(first)) as client:
            second = await client.next("session.created")
            assert back(second) != back(first)
            await refused(base_url, back(first), REFUSED)
            client.cut()
        await refused(base_url, back(first), REFUSED)
        async with connection(base_url, back(second)) as client:
            await client.next("session.created")


async def test_of_two_that_come_back_at_once_one_gets_the_session(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        async with connection(base_url) as client:
            created = await client.next("session.created")
            client.cut()

        async def come_back() -> str:
            async with connection(base_url, back(created)) as client:
                event = await client.receive()
                if event["type"] == "session.created":
                    await client.send("session.update", session={"type": "realtime"})
                    await client.next("session.updated")
                return str(event["type"])

        kinds = await asyncio.gather(*[come_back() for _ in range(5)])
        assert sorted(kinds) == ["error"] * 4 + ["session.created"]


async def test_a_connection_not_known_to_be_dead_gives_way(serve: Serve) -> None:
    async with serve(scripted()) as base_url, connection(base_url) as old:
        created = await old.next("session.created")
        async with connection(base_url, back(created)) as new:
            await new.next("session.created")
            assert (await old.closed())[0] == 1001
            await new.ask("Hello.")
            await new.next("response.done")
            assert await open_sessions(base_url) == 1


async def test_an_event_that_is_not_known_is_told_and_costs_nothing(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        async with connection(base_url) as client:
            created = await client.next("session.created")
            client.cut()
        await refused(base_url, back(created, "event_unknown"), "resume_gap")
        async with connection(base_url, back(created)) as client:
            await client.next("session.created")


async def test_a_wrong_key_gets_nothing_even_with_the_token(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        async with connection(base_url) as client:
            created = await client.next("session.created")
            client.cut()
        async with connection(base_url, back(created), key="sk-other") as client:
            assert (await client.receive())["error"]["code"] == "invalid_api_key"
        async with connection(base_url, back(created)) as client:
            await client.next("session.created")


async def test_a_token_belongs_to_the_owner_it_was_given_to() -> None:
    engine = ScriptedEngine(Script())
    runner = Runner(
        SessionConfig(id="sess_1", model="m"),
        await engine.open(Ask()),
        ScriptedTranscriber(engine),
        LoudnessActivity().open(),
        LoudnessTurnEnd(),
    )
    resumption = Resumption(30)
    offer = resumption.offer({"duologue_resume": "1"})
    assert offer is not None
    resumption.hold(runner, offer, "a")
    token = offer.token
    assert resumption.find(token, "a") is runner
    assert resumption.find(token, "b") is None
    assert resumption.find(token + "x", "a") is None
    assert resumption.find("", "a") is None
    resumption.forget(runner)
    assert resumption.find(token, "a") is None
    runner.disconnect()
    await runner.run()


async def test_the_longest_life_of_a_session_ends_while_nobody_is_there(serve: Serve) -> None:
    async with serve(scripted(session_max_s=1, resume_grace_s=3600)) as base_url:
        async with connection(base_url) as client:
            await client.next("session.created")
            client.cut()
        await until_free(base_url)


async def test_a_reply_nobody_takes_is_bounded(serve: Serve) -> None:
    long = "replies = [{text = '" + "word " * 800 + "', first_delay_ms = 300}]"
    config = scripted(script=long, outbox_bytes=500_000, resume_grace_s=3600)
    async with serve(config) as base_url:
        async with connection(base_url) as client:
            await client.ask("Count.")
            await client.next("response.created")
            client.cut()
        await until_free(base_url)


async def test_stopping_the_server_ends_sessions_that_wait(serve: Serve) -> None:
    async with serve(scripted(resume_grace_s=3600)) as base_url:
        async with connection(base_url) as client:
            await client.next("session.created")
            client.cut()


@pytest.mark.parametrize(
    ("query", "grace_s"),
    [
        ("model=gpt-realtime", 30),
        ("model=gpt-realtime&duologue_resume=1", 0),
        ("model=gpt-realtime&duologue_resume=", 30),
    ],
)
async def test_who_does_not_ask_or_may_not_have_it_gets_a_plain_session(
    query: str, grace_s: int, serve: Serve
) -> None:
    async with serve(scripted(resume_grace_s=grace_s)) as base_url:
        async with connection(base_url, query) as client:
            session = (await client.next("session.created"))["session"]
            assert "resume" not in session["duologue"]
            client.cut()
        await until_free(base_url)


async def test_a_stock_client_that_asks_for_it_does_not_notice(serve: Serve) -> None:
    async with serve(scripted()) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        extra: Any = {"duologue_resume": "1"}
        async with client.realtime.connect(model="gpt-realtime", extra_query=extra) as connection:
            await connection.conversation.item.create(
                item={
                    "type": "message",
                    "role": "user",
                    "content": [{"type": "input_text", "text": "Hello."}],
                }
            )
            await connection.response.create()
            async for event in connection:
                assert event.type != "error"
                if event.type == "response.done":
                    break
        await until_free(base_url)


async def test_sound_goes_on_being_heard_after_coming_back(serve: Serve) -> None:
    script = "transcripts = ['Good day.']"
    async with serve(scripted(script=script)) as base_url:
        async with connection(base_url) as before:
            created = await before.next("session.created")
            await before.append(tone(300))
            await before.next("input_audio_buffer.speech_started")
            before.cut()
        async with connection(base_url, back(created, before.ids[-1])) as after:
            await after.append(tone(300) + bytes(48_000))
            stopped = await after.next("input_audio_buffer.speech_stopped")
            # The clock of a session is its sound: what was not sent has not been.
            assert 600 < stopped["audio_end_ms"] < 1300
            done = await after.next("response.done")
            text = done["response"]["output"][0]["content"][0]["transcript"]
            assert text == "You said: Good day."


async def test_a_client_that_took_nothing_for_a_while_can_come_back_for_all_of_it(
    serve: Serve,
) -> None:
    words = "word " * 800  # 12 MB of audio deltas, more than sockets can hold
    config = scripted(script=f"replies = [{{text = '{words}'}}]", send_timeout_s=0.3)
    async with serve(config) as base_url:
        async with connection(base_url, max_queue=1, close_timeout=0.1) as before:
            with logged("given up") as given_up:
                await before.ask("Count.")
                await before.next("response.created")
                await given_up.wait()
            async with connection(base_url, back(before.events[0], before.ids[-1])) as after:
                await after.next("response.done")
                assert heard(before.events + after.events) == words.strip()


@pytest.mark.parametrize("deltas", [0, 1, 5, 50])
async def test_a_good_bye_in_the_middle_of_everything_ends_the_session(
    deltas: int, serve: Serve
) -> None:
    script = "replies = [{text = '" + "word " * 100 + "'}]"
    async with serve(scripted(script=script, resume_grace_s=3600)) as base_url:
        for _ in range(5):
            async with connection(base_url, max_queue=None) as client:
                await client.ask("Count.")
                for number in range(100):  # what the server is busy with as the good-bye comes
                    change = {"type": "realtime", "instructions": f"{number}" * 1000}
                    await client.send("session.update", session=change)
                for _ in range(deltas):
                    await client.next("response.output_audio.delta")
        await until_free(base_url)
