"""What the core and a speech engine say to each other, as plain data.

Down to the engine go `Item`s (the history, exactly as it was said and heard) and an `Ask`
(what one reply shall be like). Back up come `Began`, `Say`, `Call` and one last `Done`. The
core puts these in its outputs and takes them from its inputs; `runtime/ports.py` has the protocols
that carry them. Sound is always 24 kHz mono signed 16-bit little-endian.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from duologue.events import LogProb

Counts = Mapping[str, int]
"""Tokens by modality: "text", "audio", "image"."""

Effort = Literal["minimal", "low", "medium", "high", "xhigh"]
"""How hard a reasoning model thinks (reference, section 2.1)."""


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of an item; `text` beside `pcm` is its transcript, where one is known.

    `image_detail` is how closely an image is to be looked at; None leaves it to the model.
    `media_id` names the sound or the image and, unlike the ids of items, never another: not in
    any session of the server, nor once the item is deleted. A guess has that of the item which
    it may become, whose sound is longer by silence only.
    """

    text: str | None = None
    pcm: bytes | None = None
    image_url: str | None = None
    image_detail: Literal["low", "high"] | None = None
    media_id: str = ""


class CallPart(msgspec.Struct, frozen=True):
    """The function call of a `call` item; `arguments` is the JSON text as the model wrote it."""

    call_id: str
    name: str
    arguments: str


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of the history that an engine answers from.

    `call_id` names the call that a `result` item answers. `was_heard`: its sound is a stretch of
    what a full-duplex model was given as it was spoken (`LiveTalk.hear`).
    """

    id: str
    role: Literal["system", "user", "assistant", "call", "result"]
    parts: tuple[Part, ...] = ()
    call: CallPart | None = None
    call_id: str | None = None
    was_heard: bool = False


class Example(msgspec.Struct, frozen=True):
    """What a user may say, and the right answer: a call with `arguments` (JSON), or `words`."""

    said: str
    arguments: str = ""
    words: str = ""


class Tool(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function the model may call; `parameters` is its JSON Schema.

    `examples` are for engines whose model goes by them rather than by a description.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = {}
    examples: tuple[Example, ...] = ()


class Truncation(msgspec.Struct, frozen=True, omit_defaults=True):
    """What may be left out of a history that has grown too long, oldest items first.

    `limit_tokens` bounds what follows instructions and tools; None is all the room there is.
    When that overflows, at most `kept_share` of it is left, and nothing more is dropped until
    it overflows again; None leaves the share to the engine. Unless it is `allowed` the reply
    fails with `context_length_exceeded` instead (reference, section 6).
    """

    allowed: bool = True
    kept_share: float | None = None
    limit_tokens: int | None = None


class TranscriptionAsk(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the user's speech shall be written down for the client (the side-channel transcript).

    `languages` are those it may be in; `prompt` says what it is about, `keywords` are words that
    it may hold. `prefix` was told to the client already: the transcript
    must begin with it, to the letter. `partial` asks for a hypothesis on sound that still
    grows: it gives way to everything that somebody waits for.
    """

    model: str
    language: str | None = None
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    logprobs: bool = False
    prefix: str = ""
    partial: bool = False

    @property
    def hints(self) -> str | None:
        """Prompt and keywords as one text, for models that take one."""
        return " ".join(filter(None, (self.prompt, ", ".join(self.keywords)))) or None


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What one reply shall be like: session settings merged with those of `response.create`.

    `tool_choice` is "auto", "none", "required" or the name of one tool prefixed "function:".
    `context` None means the conversation that was put; a tuple stands in its place.
    `keep` False is an out-of-band reply: it leaves no trace in the model's state.
    `parallel_calls` False admits one function call at most. `reasoning` is how hard the model
    shall think, None as it is wont to. `transcription` is how the client wants the user's speech
    written down, for an engine that does so itself; None: not at all.
    """

    instructions: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    parallel_calls: bool = True
    voice: str = ""
    speed: float = 1.0
    speak: bool = True
    max_tokens: int | None = None
    truncation: Truncation = Truncation()
    context: tuple[Item, ...] | None = None
    keep: bool = True
    reasoning: Effort | None = None
    transcription: TranscriptionAsk | None = None


class Began(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What a reply reads: all its input, and the part of it that came from a reused prefix.

    It comes before the first `Say` or `Call`, as soon as the engine knows, so that a reply that
    is closed early has a true usage. Sent again it replaces what was said before.
    """

    input: Counts = {}
    cached: Counts = {}


class Say(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """Reply text and sound in playing order.

    `text` is new text; `pcm` new sound; `voiced` the number of characters of this message's
    text, counted from its beginning, that have been voiced once this `pcm` has played.
    A spoken reply sends the text of a clause with or before its sound, one `Say` per word
    where the voice knows its timing, so that the history can be cut exactly to the word.
    `tokens` is how many were generated since the event before (thought ahead included).
    """

    text: str = ""
    pcm: bytes = b""
    voiced: int = 0
    tokens: int = 0


class Call(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """A piece of a function call: the same `index` for all pieces of one call.

    The first piece carries `name`; `delta` is argument text; `final` closes the call;
    `tokens` as in `Say`.
    """

    index: int
    name: str = ""
    delta: str = ""
    final: bool = False
    tokens: int = 0


class Done(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """The last event of a reply: why it ended and when its stages were reached.

    `tokens` as in `Say`: those that no other event has counted. `stages` maps "transcript",
    "first_token", "first_clause" to monotonic seconds.
    """

    reason: Literal["completed", "length", "filtered"] = "completed"
    tokens: int = 0
    stages: Mapping[str, float] = {}


ReplyEvent = Began | Say | Call | Done


class Floor(msgspec.Struct, frozen=True, tag=True):
    """A full-duplex model's own decision of whose turn it is, `at_ms` of the sound it was given.

    That clock counts all sound since the talk was opened, what the model let fall included.
    `user_starts` and `user_stops` come in pairs and at any place. `reply_starts` begins a reply:
    the `Say` and `Call` events after it belong to that, until exactly one of `Done` (the model
    has said what it wanted), `Failed` and `yields` (it falls silent because the user speaks, or
    because it was hushed).
    """

    kind: Literal["user_starts", "user_stops", "reply_starts", "yields"]
    at_ms: int


class Heard(msgspec.Struct, frozen=True, tag=True, omit_defaults=True):
    """What a full-duplex model understood of the user's turn: more of it, or with `final` its end.

    By-product of listening; a model that writes nothing down sends none.
    """

    delta: str = ""
    final: bool = False


class Failed(msgspec.Struct, frozen=True, tag=True):
    """A full-duplex model could not finish its reply, or not begin the one it was asked for.

    It ends that and nothing else: the model listens on. One that is gone altogether fails by
    `EngineFault`.
    """

    code: str
    message: str


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A full-duplex model does not take settings that it was told: the client learns why.

    It may come at any place and ends nothing, be there a reply under way or not.
    """

    code: str
    message: str


LiveEvent = Floor | Heard | ReplyEvent | Failed | Refused


class TranscriptPart(msgspec.Struct, frozen=True):
    """The next piece of a long transcript; pieces are joined by a space."""

    text: str


class Transcript(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole transcript of one user item and the seconds of sound it was made from.

    `language` is the one that was found or given, where it is known. `logprobs` are those of
    the tokens, if they were asked for.
    """

    text: str
    seconds: float
    language: str | None = None
    logprobs: tuple[LogProb, ...] | None = None


class TranslationAsk(msgspec.Struct, frozen=True):
    """What speech shall be said again in: `language` is a code such as "en"."""

    language: str
