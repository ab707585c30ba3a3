"""A server whose engine is another server: what the one behind holds, and what its end does.

The suites of the protocol, of resumption and of stock clients run through the chain, too, by their
fixture `serve`.
"""

import base64
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import UNSET

from duologue.core import inputs
from duologue.core.kinds import make_session
from duologue.core.outputs import Send
from duologue.engines.scripted import tone
from duologue.events import (
    ConversationItemRetrieve,
    ConversationItemRetrieved,
    MessageItem,
    ResponseCreate,
    SessionUpdate,
)
from duologue.events.client import ClientEvent
from duologue.runtime.ids import IdSource
from duologue.runtime.recorder import read_tape
from live_server import UPSTREAM_KEY, Caller, call, front, scripted, serving, ws_url
from pictures import data_uri, drawn, file

SPEECH = tone(800) + bytes(48_000)
PACED = """
transcripts = ["What is the weather in Paris?", "Stop."]
[[replies]]
when = "weather"
text = "It is sunny in Paris today and it will stay so."
word_delay_ms = 100
[[replies]]
text = "You said: {heard}"
"""


def behind(**settings: Any) -> Any:
    return serving(scripted(**{"api_key": UPSTREAM_KEY, **settings}))


async def ask(client: Caller, **response: Any) -> dict[str, Any]:
    await client.send("response.create", response={"output_modalities": ["text"], **response})
    return (await client.next("response.done"))["response"]  # type: ignore[no-any-return]


async def append(client: Caller, pcm: bytes) -> None:
    for start in range(0, len(pcm), 4800):
        audio = base64.b64encode(pcm[start : start + 4800]).decode()
        await client.send("input_audio_buffer.append", audio=audio)


class Tape:
    """What the session behind was sent, and what it holds at its end."""

    def __init__(self, directory: Path) -> None:
        (path,) = directory.glob("*.jsonl")
        self._header, entries = read_tape(path)
        self.entries = list(entries)

    def events(self, kind: type[Any]) -> Iterator[Any]:
        return (event for event in self._received() if isinstance(event, kind))

    def _received(self) -> Iterator[ClientEvent]:
        for _, entry in self.entries:
            if isinstance(entry, inputs.Received):
                yield entry.event

    def item(self, item_id: str) -> MessageItem:
        header = self._header
        session = make_session(header.config, new_id=IdSource(int(header.seed)), now=header.now)
        session.open(header.now)
        for now, entry in self.entries:
            if not isinstance(entry, inputs.Disconnected):
                session.handle(entry, now)
        asked = inputs.Received(ConversationItemRetrieve(item_id=item_id))
        sent = session.handle(asked, self.entries[-1][0])[-1]
        assert isinstance(sent, Send) and isinstance(sent.event, ConversationItemRetrieved)
        assert isinstance(sent.event.item, MessageItem)
        return sent.event.item


@pytest.mark.parametrize("cut_ms", [240, 700, None])
async def test_both_servers_hold_the_same_words_after_an_interruption(
    tmp_path: Path, cut_ms: int | None
) -> None:
    async with behind(script=PACED, record_dir=str(tmp_path)) as upstream:
        async with serving(front(ws_url(upstream, ""))) as base_url, call(base_url) as client:
            await append(client, SPEECH)
            for _ in range(4):
                await client.next("response.output_audio.delta")
            await append(client, tone(400))
            done = (await client.next("response.done"))["response"]
            assert done["status"] == "cancelled"
            item_id = done["output"][0]["id"]
            if cut_ms is not None:
                await client.send(
                    "conversation.item.truncate",
                    item_id=item_id,
                    content_index=0,
                    audio_end_ms=cut_ms,
                )
            await client.send("conversation.item.retrieve", item_id=item_id)
            heard = (await client.next("conversation.item.retrieved"))["item"]["content"][0]
            await append(client, bytes(48_000))
            await client.next("response.done")
    tape = Tape(tmp_path)
    cuts = [event for event in tape._received() if event.__struct_config__.tag == CUT]
    kept = tape.item(cuts[0].item_id).content[0]
    assert kept.transcript == heard["transcript"]
    assert len(kept.audio) == len(base64.b64decode(heard["audio"]))
    if cut_ms is not None:
        assert len(kept.audio) == cut_ms * 48


CUT = "conversation.item.truncate"


async def test_a_text_that_was_interrupted_is_replaced_by_what_came_of_it(tmp_path: Path) -> None:
    async with behind(script=PACED, record_dir=str(tmp_path)) as upstream:
        async with serving(front(ws_url(upstream, ""))) as base_url, call(base_url) as client:
            await client.say("the weather")
            await client.send("response.create", response={"output_modalities": ["text"]})
            for _ in range(3):
                await client.next("response.output_text.delta")
            await client.send("response.cancel")
            item = (await client.next("response.done"))["response"]["output"][0]
            await client.say("Well?")
            assert (await ask(client))["status"] == "completed"
    assert Tape(tmp_path).item(item["id"]).content[0].text == item["content"][0]["text"]


async def test_an_image_and_an_out_of_band_context_reach_the_one_behind(tmp_path: Path) -> None:
    image = data_uri(file(drawn("Hello", size=(64, 64))))
    async with behind(record_dir=str(tmp_path)) as upstream:
        async with serving(front(ws_url(upstream, ""))) as base_url, call(base_url) as client:
            content = [
                {"type": "input_image", "image_url": image},
                {"type": "input_text", "text": "Look."},
            ]
            item = {"id": "mine", "type": "message", "role": "user", "content": content}
            await client.send("conversation.item.create", item=item)
            other = [{"type": "input_text", "text": "Only this."}]
            aside = await ask(
                client,
                conversation="none",
                input=[{"type": "message", "role": "user", "content": other}],
            )
            assert aside["output"][0]["content"][0]["text"] == "You said: Only this."
            again = await ask(
                client, conversation="none", input=[{"type": "item_reference", "id": "mine"}]
            )
            assert again["output"][0]["content"][0]["text"] == "You said: Look."
            assert (await ask(client))["output"][0]["content"][0]["text"] == "You said: Look."
            await client.send("conversation.item.retrieve", item_id="mine")
            shown = (await client.next("conversation.item.retrieved"))["item"]
    assert Tape(tmp_path).item("mine").content[0].image_url == shown["content"][0]["image_url"]


async def test_usage_is_that_of_the_one_behind() -> None:
    async with behind() as upstream, serving(front(ws_url(upstream, ""))) as base_url:
        async with call(base_url) as client:
            await client.say("one two three")
            first = (await ask(client))["usage"]
            await client.say("four")
            second = (await ask(client))["usage"]
    assert first["input_tokens"] == 3 and first["output_token_details"]["text_tokens"] == 5
    assert second["input_tokens"] == 3 + 5 + 1
    assert second["input_token_details"]["cached_tokens_details"]["text_tokens"] == 3


async def test_usage_of_an_interrupted_reply_is_an_estimate_that_came_before_its_end() -> None:
    async with behind(script=PACED) as upstream, serving(front(ws_url(upstream, ""))) as base_url:
        async with call(base_url) as client:
            await append(client, SPEECH)
            for _ in range(4):
                await client.next("response.output_audio.delta")
            await client.send("response.cancel")
            done = (await client.next("response.done"))["response"]
    assert done["status"] == "cancelled"
    usage = done["usage"]
    assert usage["input_token_details"]["audio_tokens"] >= 800 // 80
    assert usage["output_token_details"]["text_tokens"] >= 2
    assert usage["output_token_details"]["audio_tokens"] > 0
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


async def test_a_session_behind_that_expired_is_opened_again_with_its_history(
    tmp_path: Path,
) -> None:
    script = '[[replies]]\ntext = "So {heard}"\nfirst_delay_ms = 150'
    async with behind(script=script, session_max_s=1, record_dir=str(tmp_path)) as upstream:
        async with serving(front(ws_url(upstream, ""))) as base_url, call(base_url) as client:
            await append(client, SPEECH)
            spoken = (await client.next("response.done"))["response"]
            assert spoken["output"][0]["content"][0]["transcript"] == "So Hello there."
            words, statuses = 2 + 3, []
            while len(os.listdir(tmp_path)) < 2:
                await client.say("one")
                done = await ask(client)
                statuses.append(done["status"])
                words += 1
                if done["status"] == "completed":
                    assert done["usage"]["input_tokens"] == words
                    words += 2
    assert statuses.count("completed") >= 2 and statuses.count("failed") <= 1
    assert statuses[-1] == "completed"


async def test_an_upstream_that_dies_fails_the_reply_and_works_again_when_it_is_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"ws://127.0.0.1:{port}/v1/realtime"
    async with serving(front(address)) as base_url, call(base_url) as client:
        await client.say("the weather")
        absent = await ask(client)
        assert absent["status"] == "failed"
        assert "cannot be reached" in absent["status_details"]["error"]["message"]
        async with behind(script=PACED, port=port):
            await client.send("response.create", response={})
            for _ in range(3):
                await client.next("response.output_audio.delta")
        died = (await client.next("response.done"))["response"]
        assert died["status"] == "failed"
        assert died["output"][0]["content"][0]["transcript"].startswith("It is")
        async with behind(port=port):
            await client.say("Are you back?")
            back = await ask(client)
            assert back["output"][0]["content"][0]["text"] == "You said: Are you back?"
            words = len("the weather".split()) + len("Are you back?".split())
            said = len(died["output"][0]["content"][0]["transcript"].split())
            assert back["usage"]["input_tokens"] == words + said


async def test_a_full_server_behind_is_told_at_the_door_of_the_one_in_front() -> None:
    async with behind(script="places = 1") as upstream:
        async with serving(front(ws_url(upstream, ""))) as base_url:
            async with call(base_url) as first:
                await first.next("session.created")
                async with call(base_url) as second:
                    refused = (await second.receive())["error"]
                    assert refused["code"] == "session_limit_reached"
                    assert (await second.closed())[0] == 1013


WRITTEN = {
    "model": "gpt-4o-transcribe",
    "language": "en",
    "prompt": "A talk about ships.",
    "keywords": ["Ada", "Turing"],
}
LOGPROBS = ["item.input_audio_transcription.logprobs"]


def plainly(event: Any) -> Any:
    """As it is on the wire."""
    return msgspec.json.decode(msgspec.json.encode(event))


async def transcript_of(client: Caller) -> dict[str, Any]:
    await append(client, SPEECH)
    return await client.next("conversation.item.input_audio_transcription.completed")


async def test_how_the_user_is_written_down_is_said_to_the_one_behind(tmp_path: Path) -> None:
    async with behind(record_dir=str(tmp_path)) as upstream:
        async with serving(front(ws_url(upstream, ""))) as base_url, call(base_url) as client:
            wanted = {"audio": {"input": {"transcription": WRITTEN}}, "include": LOGPROBS}
            await client.send("session.update", session={"type": "realtime", **wanted})
            first = await transcript_of(client)
            plain = {"audio": {"input": {"transcription": {"model": "whisper-1"}}}, "include": None}
            await client.send("session.update", session={"type": "realtime", **plain})
            second = await transcript_of(client)
            off = {"audio": {"input": {"transcription": None}}}
            await client.send("session.update", session={"type": "realtime", **off})
            await append(client, SPEECH)
            await client.next("response.done")
    assert (first["transcript"], first["languages"]) == ("Hello there.", [{"code": "en"}])
    assert [one["token"].strip() for one in first["logprobs"]] == ["Hello", "there."]
    assert "logprobs" not in second and "languages" not in second
    updates = [event.session for event in Tape(tmp_path).events(SessionUpdate)]
    told = [one for one in updates if one.audio.input.transcription is not UNSET]
    shown = [plainly(one.audio.input.transcription) for one in told]
    assert shown == [WRITTEN, {"model": "whisper-1"}, None]
    assert [one.include for one in told] == [tuple(LOGPROBS), None, UNSET]


async def test_every_setting_of_a_session_and_a_response_is_said_to_the_one_behind(
    tmp_path: Path,
) -> None:
    async with behind(record_dir=str(tmp_path)) as upstream:
        async with serving(front(ws_url(upstream, ""))) as base_url, call(base_url) as client:
            tool = {"type": "function", "name": "look", "parameters": {"type": "object"}}
            session: dict[str, Any] = {
                "instructions": "Be brief.",
                "tools": [tool],
                "tool_choice": "none",
                "parallel_tool_calls": False,
                "reasoning": {"effort": "low"},
                "max_output_tokens": 100,
                "truncation": "disabled",
                "audio": {"output": {"speed": 1.25}},
            }
            await client.send("session.update", session={"type": "realtime", **session})
            await client.say("one")
            await ask(client, parallel_tool_calls=True, reasoning={"effort": "high"})
            again = {"type": "realtime", "parallel_tool_calls": True}
            await client.send("session.update", session=again)
            await ask(client)
    tape = Tape(tmp_path)
    first, second = [event.session for event in tape.events(SessionUpdate)][-2:]
    shown = plainly(first)
    assert shown["audio"]["output"]["speed"] == session.pop("audio")["output"]["speed"]
    assert {key: shown[key] for key in session} == session
    own, plain = [event.response for event in tape.events(ResponseCreate)]
    assert (own.parallel_tool_calls, own.reasoning.effort) == (True, "high")
    assert second.parallel_tool_calls is True
    assert (plain.parallel_tool_calls, plain.reasoning) == (UNSET, UNSET)
