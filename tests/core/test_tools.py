"""Tools and `tool_choice`: what no tool can satisfy is refused, waits, or is given up in words."""

from typing import Any

import pytest

from duologue.core.settings import SessionConfig
from duologue.events import Error, ResponseCreated, ResponseDone, SessionUpdated
from duologue.testing.timeline import Timeline
from session_kit import codes, create, update


def tools(*names: str) -> list[dict[str, Any]]:
    return [{"type": "function", "name": name} for name in names]


def function(name: str) -> dict[str, str]:
    return {"type": "function", "name": name}


def updated(*changes: dict[str, Any], config: SessionConfig | None = None) -> Timeline:
    """A session that took these changes, 10 ms apart."""
    t = Timeline(config) if config else Timeline()
    for number, change in enumerate(changes):
        t.client_sends(0.01 * (number + 1), {**update(**change), "event_id": f"update_{number}"})
    t.run(0.1)
    return t


def answered_turn(t: Timeline) -> str:
    """The choice that the engine was asked with for a spoken turn, which was answered."""
    t.engine.says("Fine.")
    t.user_speaks(0.2, 1.0)
    t.run(3.0)
    assert [e.response.status for e in t.events(ResponseDone)] == ["completed"]
    return t.engine.asks[-1].tool_choice


def refusal(t: Timeline) -> tuple[str | None, str | None, str | None]:
    (event,) = t.events(Error)
    return event.error.code, event.error.param, event.error.event_id


def shown(t: Timeline) -> list[Any]:
    return [getattr(e.session.tool_choice, "name", e.session.tool_choice) for e in
            t.events(SessionUpdated)]  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        [{"tools": tools("f"), "tool_choice": function("nope")}],
        [{"tools": tools("f")}, {"tool_choice": function("nope")}],
    ],
)
def test_a_choice_that_is_not_among_the_tools_is_refused(changes: list[dict[str, Any]]) -> None:
    t = updated(*changes)
    refused = f"update_{len(changes) - 1}"
    assert refusal(t) == ("invalid_value", "session.tool_choice", refused)
    assert len(t.events(SessionUpdated)) == len(changes) - 1
    assert answered_turn(t) == "auto"


@pytest.mark.conformance("C-153")
@pytest.mark.parametrize("choice", ["required", function("f")])
def test_a_choice_that_comes_before_the_tools_waits_for_them(choice: Any) -> None:
    t = updated({"tool_choice": choice})
    assert answered_turn(t) == "auto"
    t.engine.says("")
    t.client_sends(3.1, update(tools=tools("f")))
    t.client_sends(3.2, create())
    t.run(4.0)
    assert t.engine.asks[-1].tool_choice == ("required" if choice == "required" else "function:f")
    assert shown(t) == (["required"] * 2 if choice == "required" else ["f"] * 2)
    assert codes(t) == []


@pytest.mark.conformance("C-153")
def test_tools_and_choice_may_come_together() -> None:
    t = updated({"tools": tools("f", "g"), "tool_choice": function("g")})
    assert (answered_turn(t), shown(t)) == ("function:g", ["g"])


def test_a_choice_whose_tool_is_replaced_falls_back_to_auto_and_says_so() -> None:
    t = updated(
        {"tools": tools("f"), "tool_choice": function("f")},
        {"tools": tools("f", "g")},
        {"instructions": "Be brief."},
        {"tools": tools("g")},
        {"tools": tools("f")},
    )
    assert shown(t) == ["f", "f", "f", "auto", "auto"]
    assert (answered_turn(t), codes(t)) == ("auto", [])


@pytest.mark.parametrize("choice", ["required", function("f")])
def test_while_the_tools_are_cleared_a_choice_rests(choice: Any) -> None:
    t = updated({"tools": tools("f"), "tool_choice": choice}, {"tools": []})
    assert (answered_turn(t), codes(t)) == ("auto", [])
    assert len(set(shown(t))) == 1


@pytest.mark.conformance("C-153")
@pytest.mark.parametrize("choice", ["required", function("f")])
def test_a_response_is_refused_a_choice_of_its_own_without_the_tool(choice: Any) -> None:
    t = updated({"tools": tools("f")})
    t.client_sends(0.2, {**create(tool_choice=choice, tools=[]), "event_id": "mine"})
    t.run(0.3)
    assert refusal(t) == ("invalid_value", "response.tool_choice", "mine")
    assert t.events(ResponseCreated) == []


@pytest.mark.parametrize("own", [[], tools("g")])
def test_a_response_with_other_tools_is_not_held_to_the_choice_of_the_session(own: Any) -> None:
    t = updated({"tools": tools("f"), "tool_choice": function("f")})
    t.engine.says("Fine.")
    t.client_sends(0.2, create(tools=own))
    t.run(2.0)
    assert t.engine.asks[-1].tool_choice == "auto" and codes(t) == []


@pytest.mark.parametrize(("choice", "is_refused"), [("required", True), ("none", False)])
def test_an_engine_that_calls_nothing_refuses_to_be_required_to(
    choice: str, is_refused: bool
) -> None:
    config = SessionConfig(id="sess_1", model="scripted", calls_functions=False)
    t = updated({"tool_choice": choice}, config=config)
    assert codes(t) == ["invalid_value"] * is_refused
