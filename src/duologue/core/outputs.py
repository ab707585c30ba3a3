"""What may leave a session. The runner carries outputs out in the order they are returned.

`Send`, `DropAudio`, `DropItemAudio` and `Close` go to the client, `Play` and `StopPlaying` to what
plays for it; `Respond`, `Live`, `Transcribe`, `Translate`, `ScoreTurn` and `Cancel` start and stop
jobs, whose results come back as inputs with the job's id; `Unasked` and `Spent` count; the rest are
notes to the engine's `Talk` (`runtime/ports.py`), which return at once.
"""

import msgspec

from duologue.core.talk import Ask, Item, TranscriptionAsk, TranslationAsk
from duologue.events import ServerEvent
from duologue.events.translation import TranslationServerEvent


class Send(msgspec.Struct, frozen=True, tag=True):
    """A server event for the client."""

    event: ServerEvent | TranslationServerEvent


class DropAudio(msgspec.Struct, frozen=True, tag=True):
    """Sound of this response that has not left yet must not leave any more (C-157)."""

    response_id: str


class DropItemAudio(msgspec.Struct, frozen=True, tag=True):
    """Sound of this item that has not left yet is beyond its cut and must not leave (GAP-12)."""

    item_id: str


class Play(msgspec.Struct, frozen=True, tag=True):
    """Sound of an item to be played, where playing is ours; comes back as `Played`."""

    response_id: str
    item_id: str
    pcm: bytes


class StopPlaying(msgspec.Struct, frozen=True, tag=True):
    """Sound of this response that has not been played must not be played any more."""

    response_id: str


class Close(msgspec.Struct, frozen=True, tag=True):
    """End the connection after everything sent so far. Codes: reference, section 1.3."""

    code: int
    reason: str


class Respond(msgspec.Struct, frozen=True, tag=True):
    """Start a reply; its events come back as `ReplyEvent`s of this job."""

    job: str
    ask: Ask


class Live(msgspec.Struct, frozen=True, tag=True):
    """Have a full-duplex model listen and speak; what it does comes back as `LiveEvent`s."""

    job: str
    ask: Ask


class Unasked(msgspec.Struct, frozen=True, tag=True):
    """A response has begun that nobody asked for: no work to start, but it counts (`Spent`)."""

    job: str
    ask: Ask


class Transcribe(msgspec.Struct, frozen=True, tag=True):
    """Write down a sound of a user item for the client.

    `media_id` names the sound: what the engine has heard of it need not be heard again.
    """

    job: str
    media_id: str
    pcm: bytes
    ask: TranscriptionAsk


class Translate(msgspec.Struct, frozen=True, tag=True):
    """Say sound again in another language; it comes back as `ReplyEvent`s of this job."""

    job: str
    pcm: bytes
    ask: TranslationAsk


class ScoreTurn(msgspec.Struct, frozen=True, tag=True):
    """Judge whether the user's turn is complete; comes back as `TurnScored`, or never."""

    job: str
    pcm: bytes


class Cancel(msgspec.Struct, frozen=True, tag=True):
    """Stop paying for a job. An economy only: what it still says is ignored by the core."""

    job: str


class Spent(msgspec.Struct, frozen=True, tag=True):
    """The response of this job has ended and used so many tokens, input and output together."""

    job: str
    tokens: int


class Configure(msgspec.Struct, frozen=True, tag=True):
    """Note to the engine: the session's settings as the next automatic reply will have them."""

    ask: Ask


class Expect(msgspec.Struct, frozen=True, tag=True):
    """Note to the engine: the user's turn may be over with this item; None withdraws that."""

    item: Item | None


class Put(msgspec.Struct, frozen=True, tag=True):
    """Note to the engine: an item of the history, after item `after` ("" = at the front)."""

    item: Item
    after: str


class Drop(msgspec.Struct, frozen=True, tag=True):
    """Note to the engine: an item was deleted."""

    item_id: str


class Cut(msgspec.Struct, frozen=True, tag=True):
    """Note to the engine: of this item only the first `end_ms`, the words `text`, were heard."""

    item_id: str
    end_ms: int
    text: str


class Hear(msgspec.Struct, frozen=True, tag=True):
    """Note to a full-duplex engine: more of the user's sound, 24 kHz."""

    pcm: bytes


class GoneOut(msgspec.Struct, frozen=True, tag=True):
    """Note to a full-duplex engine: of this item the first `samples` have gone out."""

    item_id: str
    samples: int


class Nudge(msgspec.Struct, frozen=True, tag=True):
    """Note to a full-duplex engine: the client asks for a reply (`response.create`)."""

    ask: Ask


class Hush(msgspec.Struct, frozen=True, tag=True):
    """Note to a full-duplex engine: nobody wants the reply that it gives, or was asked for."""


Note = Configure | Expect | Put | Drop | Cut | Hear | GoneOut | Nudge | Hush
Output = (
    Send
    | DropAudio
    | DropItemAudio
    | Play
    | StopPlaying
    | Close
    | Respond
    | Live
    | Unasked
    | Transcribe
    | Translate
    | ScoreTurn
    | Cancel
    | Spent
    | Note
)
