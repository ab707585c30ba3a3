"""A reply calls what it was offered, as it was asked to; the rest is passed over, or fails it."""

from collections.abc import Sequence

import pytest

from duologue.core.talk import Ask, Call, Done, ReplyEvent, Tool
from duologue.engines.realtime.reply import Reply
from duologue.engines.realtime.wire import UpstreamEvent, UpstreamItem, UpstreamResponse
from duologue.errors import EngineFault

TOOLS = tuple(Tool(name, "", {"type": "object"}) for name in ("look", "listen"))


def called(ask: Ask, names: Sequence[str]) -> list[ReplyEvent]:
    """What comes of a response with these calls."""
    reply = Reply(None, ask=ask)
    said: list[ReplyEvent] = []
    for number, name in enumerate(names):
        item_id = f"item_{number}"
        item = UpstreamItem(id=item_id, type="function_call", name=name, status="in_progress")
        events = [
            UpstreamEvent("response.output_item.added", item=item),
            UpstreamEvent(
                "response.function_call_arguments.done", item_id=item_id, name=name, arguments="{}"
            ),
        ]
        for event in events:
            said += reply.take(event)
    done = UpstreamEvent("response.done", response=UpstreamResponse(status="completed"))
    return [*said, *reply.take(done)]


@pytest.mark.parametrize("choice", ["auto", "required", "function:look"])
def test_what_was_offered_may_be_called(choice: str) -> None:
    events = called(Ask(tools=TOOLS, tool_choice=choice), ["look"])
    assert [event.name for event in events if isinstance(event, Call) and event.name] == ["look"]
    assert events[-1] == Done()


@pytest.mark.parametrize(
    ("ask", "names", "words"),
    [
        (Ask(tools=TOOLS), ["rm_rf"], "a call of a function that was not offered: 'rm_rf'"),
        (Ask(tools=TOOLS), [""], "a call of a function that was not offered: ''"),
        (Ask(), ["look"], "not offered"),
        (Ask(tools=TOOLS, tool_choice="function:look"), ["listen"], "without the function call"),
        (Ask(tools=TOOLS, tool_choice="function:look"), [], "without the function call"),
        (Ask(tools=TOOLS, tool_choice="required"), [], "without the function call"),
    ],
)
def test_what_was_not_asked_for_fails_the_reply(ask: Ask, names: list[str], words: str) -> None:
    with pytest.raises(EngineFault) as caught:
        called(ask, names)
    assert caught.value.message.startswith("The upstream ") and words in caught.value.message


@pytest.mark.parametrize(
    ("ask", "calls", "made"),
    [
        (Ask(tools=TOOLS), ["look", "listen"], ["look", "listen"]),
        (Ask(tools=TOOLS, parallel_calls=False), ["look", "listen"], ["look"]),
        (Ask(tools=TOOLS, parallel_calls=False), ["look", "rm_rf"], ["look"]),
        (Ask(tools=TOOLS, tool_choice="function:look"), ["listen", "look"], ["look"]),
        (Ask(tools=TOOLS, tool_choice="none"), ["look"], []),
    ],
)
def test_what_was_not_to_be_called_is_passed_over(
    ask: Ask, calls: list[str], made: list[str]
) -> None:
    pieces = [event for event in called(ask, calls) if isinstance(event, Call)]
    assert [piece.name for piece in pieces if piece.name] == made
    assert [piece.index for piece in pieces if piece.final] == list(range(len(made)))


def test_a_call_that_is_named_at_its_end_is_told_from_there() -> None:
    reply = Reply(None, ask=Ask(tools=TOOLS, tool_choice="function:listen"))
    said: list[ReplyEvent] = []
    for item_id, name in (("item_1", "look"), ("item_2", "listen")):
        item = UpstreamItem(id=item_id, type="function_call", status="in_progress")
        done = "response.function_call_arguments.done"
        for event in (
            UpstreamEvent("response.output_item.added", item=item),
            UpstreamEvent(
                "response.function_call_arguments.delta", item_id=item_id, delta='{"at":1}'
            ),
            UpstreamEvent(done, item_id=item_id, name=name),
        ):
            said += reply.take(event)
    assert said == [Call(0, "listen"), Call(0, delta='{"at":1}', tokens=2), Call(0, final=True)]
