"""The one tool more: an ask in, the ask that the front is given out. Pure.

The client never sees it: it is in no session and in no event, and a client's own tool of the
same name keeps it.
"""

import msgspec
from msgspec import structs

from duologue.core.talk import Ask, Tool

NAME = "ask_expert"

DESCRIPTION = (
    "Asks an expert who knows far more than you and reasons well. Call it for whatever you are "
    "not sure of: hard questions, facts, names, dates, numbers, calculations, plans, code, "
    "advice. Say a few words before, such as that you will find out. Never call it for "
    "greetings, small talk or what was answered already."
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


def offered(ask: Ask) -> Ask:
    """The ask with the tool, where the model is free to call what it likes.

    A client that demands a call demands one of its own tools, and one that forbids calls
    forbids this one, too. A reply out of band is not looked up for: it must leave no trace.
    """
    if ask.tool_choice != "auto" or not ask.keep:
        return ask
    tool = Tool(name_beside(ask.tools), DESCRIPTION, PARAMETERS)
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
