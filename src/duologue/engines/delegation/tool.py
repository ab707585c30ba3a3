"""The one tool more: an ask in, the ask that the front is given out. Pure.

The client never sees it: it is in no session and in no event, and a client's own tool of the
same name keeps it.
"""

import msgspec
from msgspec import structs

from duologue.core.talk import Ask, Example, Tool

NAME = "ask_expert"

DESCRIPTION = (
    "Asks an expert who knows far more than you and reasons well. Call it for every question "
    "about the world, even if you think that you know: facts, names, dates, numbers, "
    "calculations, explanations, plans, code, advice. Never call it for greetings, for small "
    "talk, for what the user tells you of themselves, or for what was answered already."
)
PARAMETERS = {
    "type": "object",
    "properties": {
        "question": {
            "type": "string",
            "description": "The whole question with all that is needed to answer it, in the "
            "language of the user.",
        }
    },
    "required": ["question"],
    "additionalProperties": False,
}


def _asked(question: str) -> Example:
    return Example(question, arguments=msgspec.json.encode({"question": question}).decode())


EXAMPLES = (
    _asked("What is the capital of Mongolia?"),
    Example("Hey, how is it going?", words="I'm doing fine, thanks! What can I do for you?"),
    _asked("What's twelve times thirty one?"),
    Example("I'm Tom, by the way.", words="Nice to meet you, Tom!"),
    _asked("How does a jet engine work?"),
    Example("I love the summer.", words="So do I! What do you like most about it?"),
    _asked("Can you suggest a menu for a birthday party?"),
    _asked("Who painted the Night Watch?"),
    Example("I'm a bit tired today.", words="Oh dear. I hope you can get some rest soon."),
    Example("Thanks, that's all.", words="You're welcome. Have a great day!"),
)
"""By turns, since small models follow what is frequent and what came last."""


def offered(ask: Ask) -> Ask:
    """The ask with the tool, where the model is free to call what it likes.

    A client that demands a call demands one of its own tools, and one that forbids calls
    forbids this one, too. A reply out of band is not looked up for: it must leave no trace.
    """
    if ask.tool_choice != "auto" or not ask.keep:
        return ask
    tool = Tool(name_beside(ask.tools), DESCRIPTION, PARAMETERS, EXAMPLES)
    return structs.replace(ask, tools=(*ask.tools, tool))


def name_beside(tools: tuple[Tool, ...]) -> str:
    """The tool's name where the client has `tools`: the first that none of them has."""
    taken = {tool.name for tool in tools}
    name, number = NAME, 1
    while name in taken:
        number += 1
        name = f"{NAME}_{number}"
    return name


class _Arguments(msgspec.Struct):
    question: str = ""


def question_of(arguments: str) -> str:
    """What a call asks; "" where it does not say, as weak models do not always."""
    try:
        return msgspec.json.decode(arguments, type=_Arguments).question.strip()
    except msgspec.DecodeError:
        return ""
