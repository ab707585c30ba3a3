"""What a server says of the engine behind it: in `/v1/models` and in `session.created`.

Both places show the same three keys, under the one key `duologue`, which the protocol does not
know and stock clients pass over. Goes out only; nothing here is ever read from a client.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

InputModality = Literal["text", "audio", "image"]
OutputModality = Literal["text", "audio"]


class EngineTraits(Struct, frozen=True, kw_only=True):
    """What an engine honestly is.

    `hears`, `speaks`, `sees`: the language model itself takes waveforms, makes them, looks at
    images. `end_to_end` is true where it both hears and speaks. The modalities are what a
    session may use, whoever does the work: with a model that only reads and writes, an ear and
    a voice beside it. `duplex`: it listens while it speaks. `rewinds`: it forgets what was
    said and not heard. `tools`: it calls functions. `languages` are ISO-639-1 codes that it
    converses in, empty where it does not say. Tokens: of its window, prompt and reply
    together, and of a reply for which no limit is asked.
    """

    end_to_end: bool
    hears: bool
    speaks: bool
    sees: bool
    input_modalities: tuple[InputModality, ...]
    output_modalities: tuple[OutputModality, ...]
    duplex: bool
    rewinds: bool
    tools: bool
    voices: tuple[str, ...]
    languages: tuple[str, ...]
    context_tokens: int
    max_output_tokens: int


class EngineCard(Struct, frozen=True, kw_only=True):
    """The engine's name, its set of models (`light` alone has one), and what it is."""

    engine: str
    profile: str | None = None
    traits: EngineTraits


class ResumeOffer(Struct, frozen=True, kw_only=True):
    """How to come back to this session: a secret, good once, within `grace_s` of a broken line."""

    token: str
    grace_s: int


class SessionExtension(EngineCard, frozen=True, kw_only=True):
    """What duologue adds to the session of `session.created`: the card, always; a way to
    resume, where the client asked for one."""

    resume: ResumeOffer | UnsetType = UNSET
