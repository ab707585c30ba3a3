"""The vocabulary of translation sessions, a dialect of its own: objects and events both ways.

A client sends `session.update`, sound and `session.close`; back come what was understood and
what is said in the other language (reference, sections 2.3 and 3.13). `session.created` and
`session.updated` are other types here than in a conversation, so this union stands apart.
`elapsed_ms` aligns output with input and steps by 200.
"""

from typing import Literal, get_args

import msgspec
from msgspec import UNSET, Struct, UnsetType

from duologue.events.client import ClientEvent
from duologue.events.codec import NOT_AN_APPEND, parse, typed
from duologue.events.scalars import EventId, Sound
from duologue.events.server import Error, ServerEvent
from duologue.events.session import NoiseReduction


class TranslationTranscription(Struct, frozen=True, kw_only=True):
    """How the source language is written down for the client."""

    model: str


class TranslationAudioInputUpdate(Struct, frozen=True, kw_only=True):
    """Changes to how a translation session listens."""

    transcription: TranslationTranscription | None | UnsetType = UNSET
    noise_reduction: NoiseReduction | None | UnsetType = UNSET


class TranslationAudioOutputUpdate(Struct, frozen=True, kw_only=True):
    """Changes to the language that is spoken."""

    language: str | UnsetType = UNSET


class TranslationAudioUpdate(Struct, frozen=True, kw_only=True):
    """Changes to a translation session's audio settings."""

    input: TranslationAudioInputUpdate | UnsetType = UNSET
    output: TranslationAudioOutputUpdate | UnsetType = UNSET


class TranslationSessionUpdate(Struct, frozen=True, kw_only=True):
    """What may change. `type` and `model` may only be said again."""

    type: Literal["translation"] | UnsetType = UNSET
    model: str | UnsetType = UNSET
    audio: TranslationAudioUpdate | UnsetType = UNSET


class TranslationAudioInput(Struct, frozen=True, kw_only=True):
    """How a translation session listens: always 24 kHz PCM."""

    transcription: TranslationTranscription | None = None
    noise_reduction: NoiseReduction | None = None


class TranslationAudioOutput(Struct, frozen=True, kw_only=True):
    """The language that a translation session speaks."""

    language: str = "en"


class TranslationAudio(Struct, frozen=True, kw_only=True):
    """A translation session's audio settings."""

    input: TranslationAudioInput = TranslationAudioInput()
    output: TranslationAudioOutput = TranslationAudioOutput()


class TranslationSession(Struct, frozen=True, kw_only=True, tag_field="type", tag="translation"):
    """The whole effective translation session; `expires_at` is in Unix seconds."""

    id: str
    model: str
    expires_at: int
    audio: TranslationAudio = TranslationAudio()


class TranslationUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.update"):
    """Change settings of the session; answered by `session.updated`."""

    event_id: EventId | UnsetType = UNSET
    session: TranslationSessionUpdate


class SessionInputAudioBufferAppend(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.input_audio_buffer.append"
):
    """Sound to be translated, in chunks of any size."""

    event_id: EventId | UnsetType = UNSET
    audio: Sound


class SessionClose(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.close"):
    """Translate what is there, then end."""

    event_id: EventId | UnsetType = UNSET


class TranslationCreated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.created"
):
    """First event of every translation session."""

    event_id: str
    session: TranslationSession


class TranslationUpdated(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.updated"
):
    """The whole effective session, after each accepted update."""

    event_id: str
    session: TranslationSession


class SessionClosed(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.closed"):
    """The last event: everything was translated and the connection will be closed."""

    event_id: str


class SessionInputTranscriptDelta(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.input_transcript.delta"
):
    """More of what was said, in its own language; only when transcription is configured."""

    event_id: str
    delta: str
    elapsed_ms: int | UnsetType = UNSET


class SessionOutputTranscriptDelta(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.output_transcript.delta"
):
    """More of the translation's text."""

    event_id: str
    delta: str
    elapsed_ms: int | UnsetType = UNSET


class SessionOutputAudioDelta(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="session.output_audio.delta"
):
    """More of the translation's sound."""

    event_id: str
    delta: bytes
    sample_rate: int = 24_000
    channels: int = 1
    format: Literal["pcm16"] = "pcm16"
    elapsed_ms: int | UnsetType = UNSET


TranslationClientEvent = TranslationUpdate | SessionInputAudioBufferAppend | SessionClose
TranslationServerEvent = (
    Error
    | TranslationCreated
    | TranslationUpdated
    | SessionClosed
    | SessionInputTranscriptDelta
    | SessionOutputTranscriptDelta
    | SessionOutputAudioDelta
)
AnyClientEvent = ClientEvent | TranslationClientEvent
AnyServerEvent = ServerEvent | TranslationServerEvent
"""What may travel over a socket, whatever the kind of its session."""

TRANSLATION_CLIENT_EVENTS: dict[str, type[TranslationClientEvent]] = {
    str(cls.__struct_config__.tag): cls for cls in get_args(TranslationClientEvent)
}
TRANSLATION_SERVER_EVENTS: dict[str, type[TranslationServerEvent]] = {
    str(cls.__struct_config__.tag): cls for cls in get_args(TranslationServerEvent)
}

_append = msgspec.json.Decoder(SessionInputAudioBufferAppend)


def translation_sound(data: bytes) -> bytes | None:
    """The sound of a frame that appends some; None for any other, and for any fault."""
    try:
        return _append.decode(data).audio
    except NOT_AN_APPEND:
        return None


def decode_translation_event(data: str | bytes, *, strict: bool = False) -> TranslationClientEvent:
    """The event of one text frame of a translation session; raises `Refusal` and nothing else."""
    if not strict:
        try:
            return _append.decode(data)
        except NOT_AN_APPEND:
            pass  # another event, or a fault that the careful way below can name
    event: TranslationClientEvent = typed(parse(data), TRANSLATION_CLIENT_EVENTS, strict=strict)
    return event
