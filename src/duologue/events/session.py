"""The session object: what a client may update, and what the server echoes in full.

`RealtimeSessionUpdate` and `TranscriptionSessionUpdate` come in: an absent key is UNSET and
changes nothing, a null is None and clears a setting that can be cleared. `RealtimeSession`
and `TranscriptionSession` go out: every key with its effective value. Settings that are
replaced as a unit (`turn_detection`, `transcription`, …) are the same struct both ways and
carry the protocol's defaults.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from duologue.events.engine import SessionExtension
from duologue.events.scalars import (
    Include,
    Index,
    MaxOutputTokens,
    OutputModalities,
    Speed,
)
from duologue.events.tools import Tool, ToolChoice, ToolEcho


class AudioPcm(Struct, frozen=True, kw_only=True, tag_field="type", tag="audio/pcm"):
    """Signed 16-bit little-endian mono at 24 kHz."""

    rate: Literal[24000] = 24000


class AudioPcmu(Struct, frozen=True, kw_only=True, tag_field="type", tag="audio/pcmu"):
    """G.711 mu-law, 8 kHz mono."""


class AudioPcma(Struct, frozen=True, kw_only=True, tag_field="type", tag="audio/pcma"):
    """G.711 A-law, 8 kHz mono."""


AudioFormat = AudioPcm | AudioPcmu | AudioPcma


Strength = Annotated[float, Meta(ge=0, le=1)]


class NoiseReduction(Struct, frozen=True, kw_only=True):
    """Noise reduction; an absent strength keeps the one in force (1 when first enabled)."""

    type: Literal["near_field", "far_field"]
    strength: Strength | UnsetType = UNSET


class AudioTranscription(Struct, frozen=True, kw_only=True):
    """How the user's speech is written down for the client; an absent model is the server's."""

    model: str | UnsetType = UNSET
    language: str | None | UnsetType = UNSET
    languages: Annotated[tuple[str, ...], Meta(min_length=1)] | UnsetType = UNSET
    prompt: str | None | UnsetType = UNSET
    keywords: tuple[str, ...] | UnsetType = UNSET
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | UnsetType = UNSET


Threshold = Annotated[float, Meta(ge=0, le=1)]
PrefixPadding = Annotated[int, Meta(ge=0, le=10_000)]
"""A listening session holds as much sound; the protocol names no limit."""
SilenceDuration = Annotated[int, Meta(ge=0, le=30_000)]
"""As long as the longest idle timeout; the protocol names no limit here either."""
IdleTimeout = Annotated[int, Meta(ge=5000, le=30000)]
Eagerness = Literal["low", "medium", "high", "auto"]


class ServerVad(Struct, frozen=True, kw_only=True, tag_field="type", tag="server_vad"):
    """Turns found by the sound alone."""

    threshold: Threshold = 0.5
    prefix_padding_ms: PrefixPadding = 300
    silence_duration_ms: SilenceDuration = 500
    idle_timeout_ms: IdleTimeout | None = None
    create_response: bool = True
    interrupt_response: bool = True


class SemanticVad(Struct, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"):
    """Turns found by what was said."""

    eagerness: Eagerness = "auto"
    create_response: bool = True
    interrupt_response: bool = True


TurnDetection = ServerVad | SemanticVad


class TranscriptionServerVad(Struct, frozen=True, kw_only=True, tag_field="type", tag="server_vad"):
    """`server_vad` of a transcription session: it makes no replies, so those keys are absent."""

    threshold: Threshold = 0.5
    prefix_padding_ms: PrefixPadding = 300
    silence_duration_ms: SilenceDuration = 500
    idle_timeout_ms: IdleTimeout | UnsetType = UNSET
    create_response: bool | UnsetType = UNSET
    interrupt_response: bool | UnsetType = UNSET


class TranscriptionSemanticVad(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"
):
    """`semantic_vad` of a transcription session."""

    eagerness: Eagerness = "auto"
    create_response: bool | UnsetType = UNSET
    interrupt_response: bool | UnsetType = UNSET


TranscriptionTurnDetection = TranscriptionServerVad | TranscriptionSemanticVad


class VoiceId(Struct, frozen=True, kw_only=True):
    """A voice of the deployment's own, named by id."""

    id: str


Voice = str | VoiceId


class Reasoning(Struct, frozen=True, kw_only=True):
    """How hard a reasoning model thinks."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | UnsetType = UNSET


class TokenLimits(Struct, frozen=True, kw_only=True):
    """Limits on what is kept; `post_instructions` counts tokens after the instructions."""

    post_instructions: Index | UnsetType = UNSET


class RetentionRatio(Struct, frozen=True, kw_only=True, tag_field="type", tag="retention_ratio"):
    """On overflow drop the oldest items until this share of the limit is left."""

    retention_ratio: Annotated[float, Meta(ge=0, le=1)]
    token_limits: TokenLimits | UnsetType = UNSET


Truncation = Literal["auto", "disabled"] | RetentionRatio


class TracingConfig(Struct, frozen=True, kw_only=True):
    """How a trace of the session is labelled."""

    workflow_name: str | UnsetType = UNSET
    group_id: str | UnsetType = UNSET
    metadata: Any | UnsetType = UNSET


Tracing = Literal["auto"] | TracingConfig


class PromptText(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_text"):
    """Text as the value of a prompt's variable."""

    text: str


class PromptImage(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_image"):
    """An image as the value of a prompt's variable."""

    detail: Literal["auto", "low", "high", "original"] = "auto"
    file_id: str | UnsetType = UNSET
    image_url: str | UnsetType = UNSET


class PromptFile(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_file"):
    """A file as the value of a prompt's variable."""

    detail: Literal["auto", "low", "high"] | UnsetType = UNSET
    file_data: str | UnsetType = UNSET
    file_id: str | UnsetType = UNSET
    file_url: str | UnsetType = UNSET
    filename: str | UnsetType = UNSET


PromptVariable = str | PromptText | PromptImage | PromptFile


class Prompt(Struct, frozen=True, kw_only=True):
    """A stored prompt template; session fields given beside it win over its own."""

    id: str
    version: str | UnsetType = UNSET
    variables: dict[str, PromptVariable] | UnsetType = UNSET


class AudioInputUpdate(Struct, frozen=True, kw_only=True):
    """Changes to how the session listens."""

    format: AudioFormat | UnsetType = UNSET
    noise_reduction: NoiseReduction | None | UnsetType = UNSET
    transcription: AudioTranscription | None | UnsetType = UNSET
    turn_detection: TurnDetection | None | UnsetType = UNSET


class AudioOutputUpdate(Struct, frozen=True, kw_only=True):
    """Changes to how the session speaks."""

    format: AudioFormat | UnsetType = UNSET
    voice: Voice | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET


class AudioUpdate(Struct, frozen=True, kw_only=True):
    """Changes to the session's audio settings, merged key by key."""

    input: AudioInputUpdate | UnsetType = UNSET
    output: AudioOutputUpdate | UnsetType = UNSET


class RealtimeSessionUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="realtime"):
    """`session.update`, `client_secrets` and call acceptance: only present keys change."""

    model: str | UnsetType = UNSET
    output_modalities: OutputModalities | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    audio: AudioUpdate | UnsetType = UNSET
    tools: tuple[Tool, ...] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    max_output_tokens: MaxOutputTokens | UnsetType = UNSET
    truncation: Truncation | UnsetType = UNSET
    tracing: Tracing | None | UnsetType = UNSET
    prompt: Prompt | None | UnsetType = UNSET
    include: tuple[Include, ...] | None | UnsetType = UNSET


class AudioInput(Struct, frozen=True, kw_only=True):
    """How the session listens."""

    format: AudioFormat = AudioPcm()
    noise_reduction: NoiseReduction | None = None
    transcription: AudioTranscription | None = None
    turn_detection: TurnDetection | None = ServerVad()


class AudioOutput(Struct, frozen=True, kw_only=True):
    """How the session speaks."""

    format: AudioFormat = AudioPcm()
    voice: Voice
    speed: Speed = 1.0


class Audio(Struct, frozen=True, kw_only=True):
    """The session's audio settings."""

    input: AudioInput = AudioInput()
    output: AudioOutput


class RealtimeSession(Struct, frozen=True, kw_only=True, tag_field="type", tag="realtime"):
    """The whole effective session; `expires_at` is in Unix seconds.

    `parallel_tool_calls` and `reasoning` stay absent until somebody set them.
    """

    object: Literal["realtime.session"] = "realtime.session"
    id: str
    model: str
    expires_at: int
    output_modalities: OutputModalities = ("audio",)
    instructions: str = ""
    audio: Audio
    tools: tuple[ToolEcho, ...] = ()
    tool_choice: ToolChoice = "auto"
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    max_output_tokens: MaxOutputTokens = "inf"
    truncation: Truncation = "auto"
    tracing: Tracing | None = None
    prompt: Prompt | None = None
    include: tuple[Include, ...] | None = None
    duologue: SessionExtension | UnsetType = UNSET


class TranscriptionAudioInputUpdate(Struct, frozen=True, kw_only=True):
    """Changes to how a transcription session listens."""

    format: AudioFormat | UnsetType = UNSET
    noise_reduction: NoiseReduction | None | UnsetType = UNSET
    transcription: AudioTranscription | None | UnsetType = UNSET
    turn_detection: TranscriptionTurnDetection | None | UnsetType = UNSET


class TranscriptionAudioUpdate(Struct, frozen=True, kw_only=True):
    """Changes to a transcription session's audio settings."""

    input: TranscriptionAudioInputUpdate | UnsetType = UNSET


class TranscriptionSessionUpdate(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="transcription"
):
    """An update of a transcription session: it has neither a voice nor tools."""

    audio: TranscriptionAudioUpdate | UnsetType = UNSET
    include: tuple[Include, ...] | None | UnsetType = UNSET


class TranscriptionAudioInput(Struct, frozen=True, kw_only=True):
    """How a transcription session listens."""

    format: AudioFormat = AudioPcm()
    noise_reduction: NoiseReduction | None = None
    transcription: AudioTranscription | None = None
    turn_detection: TranscriptionTurnDetection | None = TranscriptionServerVad()


class TranscriptionAudio(Struct, frozen=True, kw_only=True):
    """A transcription session's audio settings."""

    input: TranscriptionAudioInput = TranscriptionAudioInput()


class TranscriptionSession(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="transcription"
):
    """The whole effective transcription session; `expires_at` is in Unix seconds."""

    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    id: str
    expires_at: int
    audio: TranscriptionAudio = TranscriptionAudio()
    include: tuple[Include, ...] | None = None
    duologue: SessionExtension | UnsetType = UNSET


SessionUpdateParams = RealtimeSessionUpdate | TranscriptionSessionUpdate
Session = RealtimeSession | TranscriptionSession
