"""Images over a socket: kept, given back, refused, and never in the way of what comes after."""

import json
from typing import Any

import pytest

from live_server import Caller, Serve, call, scripted
from oracle import validate_server_event
from pictures import data_uri, drawn, file, opened


async def show(client: Caller, url: str, **event: Any) -> None:
    content = [
        {"type": "input_image", "image_url": url, "detail": "low"},
        {"type": "input_text", "text": "Look."},
    ]
    item = {"type": "message", "id": "pic", "role": "user", "content": content}
    await client.send("conversation.item.create", item=item, **event)


@pytest.mark.conformance("C-114")
async def test_an_image_is_kept_and_shown_again_only_when_it_is_retrieved(serve: Serve) -> None:
    picture = drawn("Hello")
    async with serve(scripted()) as base_url, call(base_url) as client:
        await show(client, data_uri(file(picture) + b"appended"))
        for kind in ("added", "done"):
            event = await client.next(f"conversation.item.{kind}")
            validate_server_event(json.dumps(event))
            image, text = event["item"]["content"]
            assert image == {"type": "input_image", "detail": "low"}
            assert text["text"] == "Look."
        await client.send("conversation.item.retrieve", item_id="pic")
        event = await client.next("conversation.item.retrieved")
        validate_server_event(json.dumps(event))
        image = event["item"]["content"][0]
        assert opened(image["image_url"]).tobytes() == picture.tobytes()
        await client.send("response.create")
        response = (await client.next("response.done"))["response"]
        assert response["output"][0]["content"][0]["transcript"] == "You said: Look."


@pytest.mark.conformance("C-114", "C-194")
async def test_a_bad_image_is_refused_in_its_place_and_nothing_changes(serve: Serve) -> None:
    async with serve(scripted()) as base_url, call(base_url) as client:
        await client.next("session.created")
        await show(client, data_uri(b"GIF89a"), event_id="e1")
        await show(client, data_uri(file(drawn("Hello"))))
        error = (await client.receive())["error"]
        assert (error["code"], error["event_id"]) == ("invalid_image_format", "e1")
        assert error["param"] == "item.content[0].image_url"
        assert (await client.receive())["type"] == "conversation.item.added"


async def test_an_image_without_its_data_is_refused(serve: Serve) -> None:
    async with serve(scripted()) as base_url, call(base_url) as client:
        await client.next("session.created")
        item = {"type": "message", "role": "user", "content": [{"type": "input_image"}]}
        await client.send("conversation.item.create", item=item)
        error = (await client.receive())["error"]
        assert error["code"] == "missing_required_parameter"
        assert error["param"] == "item.content[0].image_url"


async def test_what_an_owner_does_not_allow_is_not_fetched(serve: Serve) -> None:
    async with serve(scripted(image_hosts="localhost:9, example.org")) as base_url:
        async with call(base_url) as client:
            await client.next("session.created")
            for url, code in (
                ("https://localhost:9/a.png", "failed_to_download_image"),  # a private address
                ("https://localhost/a.png", "invalid_value"),
            ):
                await show(client, url)
                assert (await client.receive())["error"]["code"] == code


async def test_a_limit_on_image_files_can_be_set(serve: Serve) -> None:
    async with serve(scripted(max_image_bytes=100)) as base_url, call(base_url) as client:
        await client.next("session.created")
        await show(client, data_uri(file(drawn("Hello"))))
        assert (await client.receive())["error"]["code"] == "image_file_too_large"
