"""Stored prompts: found by id, filled in, and what a client sets itself wins over them (C-067)."""

from typing import Any

import msgspec
import pytest
from msgspec import structs

from duologue.core.prompts import MOST_FILLED_CHARACTERS, PromptVersion, StoredPrompt
from duologue.core.settings import SessionConfig
from duologue.core.starting import starting_session
from duologue.events import (
    Error,
    RealtimeSession,
    RealtimeSessionUpdate,
    ResponseDone,
    SessionUpdated,
)
from duologue.testing.timeline import Timeline
from session_kit import create, played, update

LOOK = {"type": "function", "name": "look"}


def stored(current: str = "2", **versions: dict[str, Any]) -> StoredPrompt:
    return StoredPrompt(
        current=current,
        versions={
            number.removeprefix("v"): msgspec.convert(version, PromptVersion)
            for number, version in versions.items()
        },
    )


CONFIG = SessionConfig(
    id="sess_p",
    model="m",
    instructions="The server's own.",
    prompts={
        "desk": stored(
            v1={"instructions": "An older desk."},
            v2={
                "instructions": "You are {{ name }} of {{place}}. {{name}}!",
                "variables": {"place": "Oslo"},
                "audio": {"output": {"voice": "cedar", "speed": 1.25}},
                "tools": [LOOK],
                "tool_choice": "required",
                "parallel_tool_calls": False,
                "max_output_tokens": 99,
            },
        ),
        "plain": stored("1", v1={"instructions": "Plain."}),
    },
)
DESK = {"id": "desk", "variables": {"name": "Ada"}}
CHOOSER = {"id": "chooser"}


def shown(*events: dict[str, Any], config: SessionConfig = CONFIG) -> RealtimeSession:
    """The session as the last update left it; none was refused."""
    t = played(*events, config=config)
    assert not t.events(Error)
    session = t.events(SessionUpdated)[-1].session
    assert isinstance(session, RealtimeSession)
    return session


def refusal(*events: dict[str, Any]) -> tuple[str | None, str | None, str]:
    (error,) = played(*events, config=CONFIG).events(Error)
    return error.error.code, error.error.param, error.error.message


@pytest.mark.conformance("C-067")
def test_a_prompt_sets_what_it_holds_with_its_variables_filled_in() -> None:
    session = shown(update(prompt=DESK))
    assert session.instructions == "You are Ada of Oslo. Ada!"
    assert session.audio.output.voice == "cedar"
    assert session.audio.output.speed == 1.25
    assert [tool.name for tool in session.tools] == ["look"]  # type: ignore[union-attr]
    assert (session.tool_choice, session.max_output_tokens) == ("required", 99)
    assert session.parallel_tool_calls is False
    assert session.prompt is not None
    assert (session.prompt.id, session.prompt.version) == ("desk", "2")


@pytest.mark.parametrize(
    "prompt",
    [
        {"id": "desk", "variables": {"name": {"type": "input_text", "text": "Ada"}}},
        {"id": "desk", "version": "2", "variables": {"name": "Ada", "place": "Oslo"}},
    ],
)
def test_variables_may_be_text_parts_and_stand_before_the_prompt_s_own(
    prompt: dict[str, Any],
) -> None:
    assert shown(update(prompt=prompt)).instructions == "You are Ada of Oslo. Ada!"


def test_what_is_filled_in_is_not_looked_at_again() -> None:
    prompt = {"id": "desk", "variables": {"name": "{{place}}"}}
    assert shown(update(prompt=prompt)).instructions == "You are {{place}} of Oslo. {{place}}!"


def test_an_older_version_can_be_named() -> None:
    session = shown(update(prompt={"id": "desk", "version": "1"}))
    assert session.instructions == "An older desk."


@pytest.mark.conformance("C-067")
@pytest.mark.parametrize(
    "events",
    [
        (update(prompt=DESK, instructions="Mine.", audio={"output": {"voice": "ash"}}),),
        (update(instructions="Mine.", audio={"output": {"voice": "ash"}}), update(prompt=DESK)),
        (update(prompt=DESK), update(instructions="Mine.", audio={"output": {"voice": "ash"}})),
    ],
)
def test_what_the_client_sets_itself_wins_whenever_it_came(events: tuple[Any, ...]) -> None:
    session = shown(*events)
    assert session.instructions == "Mine."
    assert session.audio.output.voice == "ash"
    assert session.audio.output.speed == 1.25
    assert session.max_output_tokens == 99


@pytest.mark.parametrize("next_prompt", [None, {"id": "plain"}])
def test_what_was_lent_goes_with_the_prompt(next_prompt: Any) -> None:
    session = shown(update(prompt=DESK, max_output_tokens=7), update(prompt=next_prompt))
    assert session.instructions == ("Plain." if next_prompt else "The server's own.")
    assert session.audio.output.voice == CONFIG.voice
    assert session.audio.output.speed == 1.0
    assert (session.tools, session.tool_choice) == ((), "auto")
    assert session.parallel_tool_calls is msgspec.UNSET
    assert session.max_output_tokens == 7  # the client's own
    assert (session.prompt and session.prompt.id) == (next_prompt and "plain")


def test_a_voice_that_was_heard_stays_when_its_prompt_goes() -> None:
    t = Timeline(CONFIG)
    t.engine.says("Good day.")
    t.client_sends(0.1, update(prompt=DESK, tool_choice="none"))
    t.client_sends(0.2, create())
    t.run(3.0)
    assert t.events(ResponseDone)[-1].response.status == "completed"
    t.client_sends(3.1, update(prompt=None))
    t.run(4.0)
    session = t.events(SessionUpdated)[-1].session
    assert session.audio.output.voice == "cedar"
    assert session.instructions == "The server's own."


@pytest.mark.conformance("C-067")
@pytest.mark.parametrize(
    ("prompt", "param", "words"),
    [
        ({"id": "nowhere"}, "prompt.id", "'nowhere' does not exist"),
        ({"id": "desk", "version": "9"}, "prompt.version", "supported values are: '1', '2'"),
        ({"id": "desk"}, "prompt.variables", "Missing prompt variables: name."),
        (
            {"id": "desk", "variables": {"name": "Ada", "b": "", "a": ""}},
            "prompt.variables",
            "Unknown prompt variables: a, b.",
        ),
        (
            {
                "id": "desk",
                "variables": {"name": {"type": "input_image", "image_url": "https://x.test/y.png"}},
            },
            "prompt.variables.name",
            "must be text",
        ),
    ],
)
def test_what_cannot_be_filled_is_refused_by_path(
    prompt: dict[str, Any], param: str, words: str
) -> None:
    for scope, event in (
        ("session", update(prompt=prompt, instructions="Mine.")),
        ("response", create(prompt=prompt, instructions="Mine.")),
    ):
        code, path, message = refusal(event)
        assert (code, path) == ("invalid_value", f"{scope}.{param}")
        assert words in message


def test_a_prompt_with_a_voice_that_there_is_not_changes_nothing() -> None:
    config = structs.replace(
        CONFIG,
        prompts={"odd": stored("1", v1={"audio": {"output": {"voice": "nobody"}}})},
    )
    t = played(update(prompt={"id": "odd"}), update(max_output_tokens=5), config=config)
    assert [e.error.param for e in t.events(Error)] == ["session.audio.output.voice"]
    session = t.events(SessionUpdated)[-1].session
    assert session.prompt is None
    assert session.audio.output.voice == CONFIG.voice


def test_one_response_can_have_a_prompt_of_its_own() -> None:
    t = Timeline(CONFIG)
    t.client_sends(0.1, update(instructions="Mine.", audio={"output": {"voice": "ash"}}))
    t.engine.says("Good day.")
    t.engine.says("Good night.")
    t.client_sends(0.2, create(prompt=DESK, tool_choice="none", audio={"output": {"speed": 0.5}}))
    t.run(3.0)
    (ask,) = t.engine.asks
    assert ask.instructions == "You are Ada of Oslo. Ada!"
    assert (ask.voice, ask.speed, ask.max_tokens) == ("cedar", 0.5, 99)
    t.client_sends(3.1, create())
    t.run(6.0)
    assert t.engine.asks[-1].instructions == "Mine."


def test_a_session_may_begin_with_a_prompt() -> None:
    start = msgspec.convert({"type": "realtime", "prompt": DESK}, RealtimeSessionUpdate)
    session = starting_session(structs.replace(CONFIG, start=start))
    assert isinstance(session, RealtimeSession)
    assert session.instructions == "You are Ada of Oslo. Ada!"


def test_a_prompt_with_another_voice_may_come_when_one_was_heard() -> None:
    marin = stored("1", v1={"instructions": "Next.", "audio": {"output": {"voice": "marin"}}})
    t = Timeline(structs.replace(CONFIG, prompts={**CONFIG.prompts, "next": marin}))
    t.engine.says("Good day.")
    t.engine.says("Good night.")
    t.client_sends(0.1, update(prompt=DESK, tool_choice="none"))
    t.client_sends(0.2, create())
    t.run(3.0)
    t.client_sends(3.1, create(prompt={"id": "next"}))
    t.run(6.0)
    t.client_sends(6.1, update(prompt={"id": "next"}))
    t.run(7.0)
    assert not t.events(Error)
    assert [(ask.instructions, ask.voice) for ask in t.engine.asks][-1] == ("Next.", "cedar")
    session = t.events(SessionUpdated)[-1].session
    assert (session.instructions, session.audio.output.voice) == ("Next.", "cedar")


OTHER = {"type": "function", "name": "other"}


@pytest.mark.parametrize(
    "events",
    [
        (update(prompt=CHOOSER, tools=[OTHER]),),
        (update(tools=[OTHER]), update(prompt=CHOOSER)),
        (update(prompt=CHOOSER), update(tools=[OTHER]), update(prompt=CHOOSER)),
    ],
)
def test_a_choice_among_a_prompt_s_tools_is_none_among_the_client_s(
    events: tuple[Any, ...],
) -> None:
    choice = {"type": "function", "name": "look"}
    chooser = stored("1", v1={"tools": [LOOK], "tool_choice": choice})
    session = shown(*events, config=structs.replace(CONFIG, prompts={"chooser": chooser}))
    assert [tool.name for tool in session.tools] == ["other"]  # type: ignore[union-attr]
    assert session.tool_choice == "auto"


def test_variables_that_come_to_too_much_are_refused() -> None:
    name = "x" * (MOST_FILLED_CHARACTERS // 2)  # it stands in two places, beside another
    code, path, _ = refusal(update(prompt={"id": "desk", "variables": {"name": name}}))
    assert (code, path) == ("string_above_max_length", "session.prompt.variables")
