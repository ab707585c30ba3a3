"""Client frames in the making, and the refusals they should meet."""

import json

from duologue.errors import Refusal
from duologue.events import decode_client_event

INPUT = "session.audio.input"


def decode(raw, *, strict=False):
    return decode_client_event(json.dumps(raw), strict=strict)


def realtime(**settings):
    return {"type": "session.update", "session": {"type": "realtime", **settings}}


def vad(**settings):
    turn_detection = {"type": "server_vad", **settings}
    return realtime(audio={"input": {"turn_detection": turn_detection}})


def message(role, *content):
    item = {"type": "message", "role": role, "content": list(content)}
    return {"type": "conversation.item.create", "item": item}


def response(**settings):
    return {"type": "response.create", "response": settings}


class refused:
    """Expect a `Refusal` with this code and param."""

    def __init__(self, code, param, says=""):
        self.expected, self.says = (code, param), says

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        assert isinstance(error, Refusal), f"{error!r} instead of a refusal"
        assert (error.code, error.param) == self.expected, error.message
        assert self.says in error.message
        return True
