"""The error tree: every fault that duologue names, and whose fault it is.

    DuologueError
    ├── Refusal          the client's mistake: answered by one `error` event, nothing changes
    ├── EngineFault      the engine could not finish a reply: `response.done` with status `failed`
    ├── EngineBusy       no free place for one more conversation: refused at the door
    ├── ModelFault       a model file is missing, truncated or altered: named before serving
    └── ConfigFault      a setting that cannot be: named before serving

Errors are data on the wire (protocol reference, section 7). An impossible state is an
`AssertionError`, which closes that one session.
"""

SHOWN_CHARACTERS = 2000
"""Of a message or a path that is told to a client, which may repeat what the client sent."""


class DuologueError(Exception):
    """The root of the tree; `str()` is fit to be shown to whoever made the mistake."""


class Refusal(DuologueError):
    """A client event that is refused as a whole.

    `code` is a code of the error catalogue, `param` the path of the bad field
    (`session.audio.output.speed`, `item.content[0].text`) or None. `type` is the kind of
    error on the wire: whether the request was wrong or came too early. Of a message or a path
    that has become long, as it repeats what the client sent, the middle is left out.
    """

    def __init__(
        self,
        code: str,
        message: str,
        param: str | None = None,
        type: str = "invalid_request_error",
    ) -> None:
        super().__init__(message := _shown(message))
        self.code = code
        self.message = message
        self.param = param if param is None else _shown(param)
        self.type = type


class EngineFault(DuologueError):
    """An engine could not finish what it was asked; carries a wire `code` and a message."""

    def __init__(self, message: str, code: str = "engine_error") -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class EngineBusy(DuologueError):
    """Every place for a conversation is taken; a later attempt may succeed."""


class ModelFault(DuologueError):
    """A model file is missing, truncated or altered, or its source cannot be reached."""


class ConfigFault(DuologueError):
    """A setting has a value that it cannot have."""


def _shown(text: str) -> str:
    if len(text) <= SHOWN_CHARACTERS:
        return text
    half = SHOWN_CHARACTERS // 2
    return f"{text[:half]}…{text[-half:]}"
