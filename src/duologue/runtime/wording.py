"""What parts of the engine say, made text before the core keeps it: an input in, the same out.

The last line of defence, for engines and transcribers of others too: text that holds half a
surrogate pair could neither be sent, nor recorded, nor put before the model again.
"""

from typing import Any, TypeVar

import msgspec

from duologue.core import inputs
from duologue.core.talk import Call, Heard, Say
from duologue.text import well_formed

_Input = TypeVar("_Input", bound=inputs.Input)
_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def as_text(entry: _Input) -> _Input:
    """An input whose text all is text: the same one, unless it was not."""
    # Fifty frames a second of each who speaks are sound alone.
    if (
        isinstance(entry, inputs.ReplyEvent)
        and isinstance(entry.event, Say)
        and not entry.event.text
    ):
        return entry
    match entry:
        case (
            inputs.ReplyEvent(event=Say() | Call() | Heard() as said)
            | inputs.LiveEvent(event=Say() | Call() | Heard() as said)
        ):
            return _with(entry, event=_as_text(said))
        case inputs.Transcribed(transcript=transcript):
            return _with(entry, transcript=_as_text(transcript))
        case (
            inputs.TranscribedPart()
            | inputs.TranscriptionFailed()
            | inputs.ReplyFailed()
            | inputs.LiveFailed()
        ):
            return _as_text(entry)
    return entry


def _as_text(struct: _Struct) -> _Struct:
    fields = ((name, getattr(struct, name)) for name in struct.__struct_fields__)
    return _with(struct, **{name: well_formed(v) for name, v in fields if isinstance(v, str)})


def _with(struct: _Struct, **fields: Any) -> _Struct:
    """The struct itself where nothing is another: it is so nearly always."""
    if all(getattr(struct, name) is value for name, value in fields.items()):
        return struct
    return msgspec.structs.replace(struct, **fields)
