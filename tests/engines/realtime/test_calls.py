"""A reply calls what it was offered, as it was asked to, or fails."""

from collections.abc import Sequence

import pytest

from duologue.core.talk import Ask, Call, Done, ReplyEvent, Tool
from duologue.engines.realtime.calls import Offered
from duologue.engines.realtime.reply import Reply
from duologue.engines.realtime.wire import UpstreamEvent, UpstreamItem, UpstreamResponse
from duologue.errors import EngineFault

TOOLS = tuple(Tool(name, "", {"type": "object"}) for name in ("look", "listen"))


def called(ask: Ask, names: Sequence[str]) -> list[ReplyEvent]:
    """What comes of a response with these calls."""
    reply = Reply(None, offered=Offered(ask))
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
        (Ask(tools=TOOLS), ["rm_rf"], "called a function that it was not offered: 'rm_rf'"),
        (Ask(tools=TOOLS), [""], "called a function that it was not offered: ''"),
        (Ask(), ["look"], "not offered"),
        (Ask(tools=TOOLS, tool_choice="none"), ["look"], "not offered"),
        (Ask(tools=TOOLS, tool_choice="function:look"), ["listen"], "where look was required"),
        (Ask(tools=TOOLS, tool_choice="function:look"), [], "answered with words where a function"),
        (Ask(tools=TOOLS, tool_choice="required"), [], "answered with words where a function"),
    ],
)
def test_what_was_not_asked_for_fails_the_reply(ask: Ask, names: list[str], words: str) -> None:
    with pytest.raises(EngineFault) as caught:
        called(ask, names)
    assert caught.value.message.startswith("The upstream ") and words in caught.value.message


def test_where_one_call_may_be_made_a_second_is_passed_over() -> None:
    calls = ["look", "listen"]
    both = [e.name for e in called(Ask(tools=TOOLS), calls) if isinstance(e, Call) and e.name]
    ask = Ask(tools=TOOLS, parallel_calls=False)
    one = [e.name for e in called(ask, calls) if isinstance(e, Call) and e.name]
    assert both == calls and one == ["look"]
