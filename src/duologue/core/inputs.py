"""What may enter a session. Inputs arrive one at a time, each with the monotonic time `now`.

They are tagged structs, so a session is recorded as JSON lines of inputs and replayed.
"""

import msgspec

from duologue.core.rate_limits import Allowance
from duologue.core.talk import Began, Call, Done, Failed, Floor, Heard, Refused, Say, Transcript
from duologue.events import ClientEvent, RateLimit
from duologue.events.translation import TranslationClientEvent


class Received(msgspec.Struct, frozen=True, tag=True):
    """A decoded client event, whatever the transport. Audio comes as `AudioReceived` instead."""

    event: ClientEvent


class ReceivedTranslation(msgspec.Struct, frozen=True, tag=True):
    """A decoded client event of a translation session, whose vocabulary is its own."""

    event: TranslationClientEvent


class BadEvent(msgspec.Struct, frozen=True, tag=True):
    """A client frame that could not be decoded: what to say about it, in its place in line."""

    code: str
    message: str
    param: str | None = None
    event_id: str | None = None


class AudioReceived(msgspec.Struct, frozen=True, tag=True):
    """Sound from the user: one voice-activity window and its speech probability 0..1.

    `speech` None means not scored (turn detection is off, or less than a window was left).
    """

    pcm: bytes
    speech: float | None = None


class ReplyEvent(msgspec.Struct, frozen=True, tag=True):
    """The engine's next event of the reply `job`, or the translator's of a translation."""

    job: str
    event: Began | Say | Call | Done


class ReplyFailed(msgspec.Struct, frozen=True, tag=True):
    """The engine could not finish the reply `job`."""

    job: str
    code: str
    message: str


class LiveEvent(msgspec.Struct, frozen=True, tag=True):
    """What a full-duplex model does next, unasked, in the live job `job`."""

    job: str
    event: Floor | Heard | Began | Say | Call | Done | Failed | Refused


class LiveFailed(msgspec.Struct, frozen=True, tag=True):
    """The live job has ended: the model or its session is gone, and why."""

    job: str
    code: str
    message: str


class TranscribedPart(msgspec.Struct, frozen=True, tag=True):
    """The transcriber has the next piece of a long item."""

    job: str
    text: str


class Transcribed(msgspec.Struct, frozen=True, tag=True):
    """The transcriber finished `job`."""

    job: str
    transcript: Transcript


class TranscriptionFailed(msgspec.Struct, frozen=True, tag=True):
    """The transcriber could not finish `job`."""

    job: str
    code: str
    message: str


class AllowanceChanged(msgspec.Struct, frozen=True, tag=True):
    """The limits of the caller's key say anew from when on a response may begin."""

    allowance: Allowance


class LimitsUpdated(msgspec.Struct, frozen=True, tag=True):
    """What is left of the caller's limits, after responses have ended."""

    limits: tuple[RateLimit, ...]


class Dismissed(msgspec.Struct, frozen=True, tag=True):
    """The server ends the session, and this is what the client is told."""

    code: str
    message: str
    close_code: int


class TurnScored(msgspec.Struct, frozen=True, tag=True):
    """The turn-end model has judged `job`: how likely the user's turn is complete, 0..1."""

    job: str
    probability: float


class Played(msgspec.Struct, frozen=True, tag=True):
    """Of this item the first `samples` (24 kHz) have gone out to the listener."""

    item_id: str
    samples: int


class Tick(msgspec.Struct, frozen=True, tag=True):
    """Nothing happened, but `Session.deadline` has come."""


class Lost(msgspec.Struct, frozen=True, tag=True):
    """The connection broke, and the client may come back: all goes on as it is."""


class Found(msgspec.Struct, frozen=True, tag=True):
    """There is a way to the client again over the same connection, on which nothing was lost."""


class Resumed(msgspec.Struct, frozen=True, tag=True):
    """The client has come back over another connection."""


class Disconnected(msgspec.Struct, frozen=True, tag=True):
    """The client is gone."""


Input = (
    Received
    | ReceivedTranslation
    | BadEvent
    | AudioReceived
    | ReplyEvent
    | ReplyFailed
    | LiveEvent
    | LiveFailed
    | TranscribedPart
    | Transcribed
    | TranscriptionFailed
    | AllowanceChanged
    | LimitsUpdated
    | Dismissed
    | TurnScored
    | Played
    | Tick
    | Lost
    | Found
    | Resumed
    | Disconnected
)
