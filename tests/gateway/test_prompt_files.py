"""Prompt files: versions, faults by file and field, changes while the server runs.

What takes seconds to be noticed is followed by a server alone: no engine has a part in it.
"""

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from openai import AsyncOpenAI

from duologue.core.prompts import PromptVersion
from duologue.errors import ConfigFault
from duologue.gateway.prompt_files import MOST_BYTES, read_prompts
from live_server import KEY, Serve, call, http_post, scripted, serving
from oracle import validate_server_event
from waiting import logged

DESK = """
instructions = "You answer the telephone of {{place}}."
max_output_tokens = 300

[audio.output]
voice = "cedar"

[variables]
place = "Oslo"

[[tools]]
type = "function"
name = "look"
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "prompts"
    made.mkdir()
    return made


def put(directory: Path, name: str, text: str) -> None:
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)


def test_a_file_of_words_is_the_instructions(directory: Path) -> None:
    put(directory, "greeting.md", "Be kind.\n")
    put(directory, "note.txt", "Be brief.")
    prompts = read_prompts(directory)
    assert {name: p.versions for name, p in prompts.items()} == {
        "greeting": {"1": PromptVersion(instructions="Be kind.\n")},
        "note": {"1": PromptVersion(instructions="Be brief.")},
    }


def test_toml_and_json_hold_the_fields_of_a_session(directory: Path) -> None:
    put(directory, "desk/1.toml", DESK)
    put(directory, "desk/2.json", json.dumps({"instructions": "New.", "tool_choice": "none"}))
    desk = read_prompts(directory)["desk"]
    first = desk.versions["1"]
    assert (first.max_output_tokens, first.variables) == (300, {"place": "Oslo"})
    assert first.audio.output.voice == "cedar"  # type: ignore[union-attr]
    assert [tool.name for tool in first.tools] == ["look"]  # type: ignore[union-attr]
    assert desk.versions["2"] == PromptVersion(instructions="New.", tool_choice="none")


@pytest.mark.parametrize(
    ("versions", "current"),
    [(("9", "10", "2"), "10"), (("a", "b"), "b"), (("1", "draft"), "1"), (("007", "6"), "007")],
)
def test_the_highest_number_is_the_current_version(
    directory: Path, versions: tuple[str, ...], current: str
) -> None:
    for version in versions:
        put(directory, f"desk/{version}.md", version)
    assert read_prompts(directory)["desk"].current == current


def test_what_is_no_prompt_is_left_alone(directory: Path) -> None:
    put(directory, "README", "Notes")
    put(directory, ".git/config", "[core]")
    put(directory, "desk/1.md", "Hello.")
    put(directory, "desk/1.md~", "Old.")
    put(directory, "._desk.md", "A Mac was here.")
    put(directory, "..2026_11_29/odd.md", "Kubernetes, too.")
    (directory / "desk" / "attic").mkdir()
    assert list(read_prompts(directory)) == ["desk"]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("desk.toml", "instructions = ", "desk.toml: "),
        ("desk.json", '["instructions"]', "must hold an object"),
        ("desk.json", "{", "desk.json: "),
        ("desk.toml", "instructons = 'typo'", "instructons"),
        ("desk.toml", "model = 'other'", "model"),
        ("desk.toml", "max_output_tokens = 'many'", "max_output_tokens"),
        ("desk.toml", "[audio.output]\nspeed = 9", "audio.output.speed"),
        ("desk.toml", "[variables]\nplace = 3", "variables"),
        ("my desk.md", "Hello.", "'my desk' is no name"),
        ("desk/v 1.md", "Hello.", "'v 1' is no name"),
        ("desk.md", "x" * (MOST_BYTES + 1), "is larger than"),
    ],
)
def test_a_fault_names_the_file_and_the_field(
    directory: Path, name: str, text: str, words: str
) -> None:
    put(directory, name, text)
    with pytest.raises(ConfigFault) as fault:
        read_prompts(directory)
    assert str(directory / name) in str(fault.value)
    assert words in str(fault.value)


def test_words_that_are_no_text_are_refused(directory: Path) -> None:
    (directory / "desk.md").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigFault, match="utf-8"):
        read_prompts(directory)


def test_one_version_in_two_files_is_refused(directory: Path) -> None:
    put(directory, "desk.md", "One.")
    put(directory, "desk/1.toml", DESK)
    with pytest.raises(ConfigFault, match="version '1' of prompt 'desk' is there twice"):
        read_prompts(directory)


@pytest.mark.parametrize("path", ["nowhere", "file"])
async def test_a_server_does_not_start_without_its_directory(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigFault, match="is no directory"):
        async with serving(scripted(prompts_dir=str(tmp_path / path))):
            pass


@pytest.mark.client("openai Python", "stored prompt")
async def test_a_stock_client_names_a_prompt(directory: Path, serve: Serve) -> None:
    put(directory, "desk/1.toml", DESK)
    async with serve(scripted(prompts_dir=str(directory))) as base_url:
        client = AsyncOpenAI(api_key=KEY, base_url=base_url)
        prompt: Any = {"id": "desk", "variables": {"place": "Bergen"}}
        async with client.realtime.connect(model="gpt-realtime") as connection:
            await connection.session.update(session={"type": "realtime", "prompt": prompt})
            async for event in connection:
                validate_server_event(json.dumps(event.to_dict()))
                if event.type == "session.updated":
                    break
        shown: Any = event.to_dict()
        assert shown["session"]["instructions"] == "You answer the telephone of Bergen."
        assert shown["session"]["audio"]["output"]["voice"] == "cedar"
        assert shown["session"]["prompt"] == {**prompt, "version": "1"}


async def test_a_client_secret_begins_with_its_prompt(directory: Path, serve: Serve) -> None:
    put(directory, "desk.toml", DESK)
    async with serve(scripted(prompts_dir=str(directory))) as base_url:
        url = base_url + "/realtime/client_secrets"
        wrong = {"session": {"type": "realtime", "prompt": {"id": "desc"}}}
        status, _, body = await http_post(url, wrong)
        assert (status, body["error"]["param"]) == (400, "session.prompt.id")
        right = {"session": {"type": "realtime", "prompt": {"id": "desk"}}}
        status, _, body = await http_post(url, right)
        assert status == 200
        assert body["session"]["instructions"] == "You answer the telephone of Oslo."
        async with call(base_url, key=body["value"]) as client:
            created = await client.next("session.created")
            assert created["session"]["instructions"] == "You answer the telephone of Oslo."
            assert created["session"]["prompt"]["id"] == "desk"


async def test_a_change_is_for_sessions_that_begin_then_and_a_fault_changes_nothing(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "duologue")

    async def instructions(client: Any) -> str:
        await client.send("session.update", session={"type": "realtime", "prompt": {"id": "desk"}})
        return str((await client.next("session.updated"))["session"]["instructions"])

    put(directory, "desk/1.md", "Old.")
    async with serving(scripted(prompts_dir=str(directory))) as base_url, call(base_url) as early:
        assert await instructions(early) == "Old."
        with logged("1 prompts are in force") as taken:
            put(directory, "desk/2.md", "New.")
            async with asyncio.timeout(10):
                await taken.wait()
        assert await instructions(early) == "Old."
        async with call(base_url) as late:
            assert await instructions(late) == "New."
        with logged("what was in force stays") as said:
            put(directory, "desk/3.toml", "instructions = ")
            async with asyncio.timeout(10):
                await said.wait()
        async with call(base_url) as later:
            assert await instructions(later) == "New."


async def test_a_secret_whose_prompt_is_gone_is_refused_by_path(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "duologue")
    put(directory, "desk.md", "Hello.")
    async with serving(scripted(prompts_dir=str(directory))) as base_url:
        session = {"session": {"type": "realtime", "prompt": {"id": "desk"}}}
        _, _, body = await http_post(base_url + "/realtime/client_secrets", session)
        with logged("0 prompts are in force") as taken:
            (directory / "desk.md").unlink()
            async with asyncio.timeout(10):
                await taken.wait()
        async with call(base_url, key=body["value"]) as client:
            error = (await client.receive())["error"]
            assert (error["code"], error["param"]) == ("invalid_value", "session.prompt.id")
            assert (await client.closed())[0] is not None
