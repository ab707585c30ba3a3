"""Objects of the beta protocol: the flat session, responses, items, as they go out and come in.

What a beta client sends arrives as `…Update` and leaves as the GA structs the core knows; what
the core sends leaves as the flat objects here (reference, section 8). Nothing but names and
nesting differs, so nothing is decided here: limits are those of the GA fields, besides the
`temperature` that GA no longer has.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from duologue.events.items import (
    FunctionCallItem,
    FunctionCallOutputItem,
    InputAudio,
    InputImage,
    InputText,
    ItemObject,
)
from duologue.events.responses import ResponseExtension, StatusDetails
from duologue.events.scalars import (
    Id,
    Include,
    ItemStatus,
    MaxOutputTokens,
    Modality,
    ResponseStatus,
    Sound,
    Speed,
)
from duologue.events.session import (
    Eagerness,
    PrefixPadding,
    Prompt,
    SilenceDuration,
    Threshold,
    Tracing,
)
from duologue.events.tools import FunctionChoice, FunctionTool

BetaFormat = Literal["pcm16", "g711_ulaw", "g711_alaw"]
BetaModalities = Annotated[tuple[Modality, ...], Meta(min_length=1)]
"""Asked for: "audio" among them is a spoken reply. Shown: both, or text alone."""

Temperature = Annotated[float, Meta(ge=0.6, le=1.2)]
DEFAULT_TEMPERATURE = 0.8


class BetaNoiseReduction(Struct, frozen=True, kw_only=True):
    """Noise reduction, without the strength it has in GA."""

    type: Literal["near_field", "far_field"]


class BetaTranscription(Struct, frozen=True, kw_only=True):
    """How the user's speech is written down for the client."""

    model: str | UnsetType = UNSET
    language: str | None | UnsetType = UNSET
    prompt: str | None | UnsetType = UNSET


class BetaServerVad(Struct, frozen=True, kw_only=True, tag_field="type", tag="server_vad"):
    """Turns found by the sound alone; the two switches are absent where there are no replies."""

    threshold: Threshold = 0.5
    prefix_padding_ms: PrefixPadding = 300
    silence_duration_ms: SilenceDuration = 500
    create_response: bool | UnsetType = UNSET
    interrupt_response: bool | UnsetType = UNSET


class BetaSemanticVad(Struct, frozen=True, kw_only=True, tag_field="type", tag="semantic_vad"):
    """Turns found by what was said."""

    eagerness: Eagerness = "auto"
    create_response: bool | UnsetType = UNSET
    interrupt_response: bool | UnsetType = UNSET


BetaTurnDetection = BetaServerVad | BetaSemanticVad
BetaToolChoice = str | FunctionChoice
"""A mode, a function's plain name, or an object; shown as a mode or a plain name."""


class BetaSessionUpdateParams(Struct, frozen=True, kw_only=True):
    """The flat session as a client sends it: only present keys change."""

    model: str | UnsetType = UNSET
    modalities: BetaModalities | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    voice: str | UnsetType = UNSET
    input_audio_format: BetaFormat | UnsetType = UNSET
    output_audio_format: BetaFormat | UnsetType = UNSET
    input_audio_transcription: BetaTranscription | None | UnsetType = UNSET
    input_audio_noise_reduction: BetaNoiseReduction | None | UnsetType = UNSET
    turn_detection: BetaTurnDetection | None | UnsetType = UNSET
    tools: tuple[FunctionTool, ...] | UnsetType = UNSET
    tool_choice: BetaToolChoice | UnsetType = UNSET
    temperature: Temperature | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET
    max_response_output_tokens: MaxOutputTokens | UnsetType = UNSET
    tracing: Tracing | None | UnsetType = UNSET
    prompt: Prompt | None | UnsetType = UNSET
    include: tuple[Include, ...] | None | UnsetType = UNSET
    client_secret: Any = UNSET
    """Accepted and of no effect on a connection."""


class BetaTranscriptionSessionUpdateParams(Struct, frozen=True, kw_only=True):
    """The flat transcription session as a client sends it."""

    modalities: BetaModalities | UnsetType = UNSET
    """Accepted and of no effect: nothing is said."""
    input_audio_format: BetaFormat | UnsetType = UNSET
    input_audio_transcription: BetaTranscription | None | UnsetType = UNSET
    input_audio_noise_reduction: BetaNoiseReduction | None | UnsetType = UNSET
    turn_detection: BetaTurnDetection | None | UnsetType = UNSET
    include: tuple[Include, ...] | None | UnsetType = UNSET
    client_secret: Any = UNSET
    """Accepted and of no effect on a connection."""


class BetaSession(Struct, frozen=True, kw_only=True):
    """The whole effective session, flat and without a `type`; `expires_at` in Unix seconds."""

    id: str
    object: Literal["realtime.session"] = "realtime.session"
    model: str
    expires_at: int
    modalities: tuple[Modality, ...]
    instructions: str
    voice: str
    input_audio_format: BetaFormat
    output_audio_format: BetaFormat
    input_audio_transcription: BetaTranscription | None
    input_audio_noise_reduction: BetaNoiseReduction | None
    turn_detection: BetaTurnDetection | None
    tools: tuple[FunctionTool, ...]
    tool_choice: str
    temperature: float
    speed: float
    max_response_output_tokens: MaxOutputTokens
    tracing: Tracing | None
    prompt: Prompt | None
    include: tuple[Include, ...] | None


class BetaTranscriptionSession(Struct, frozen=True, kw_only=True):
    """The whole effective transcription session, flat; `expires_at` in Unix seconds."""

    id: str
    object: Literal["realtime.transcription_session"] = "realtime.transcription_session"
    expires_at: int
    input_audio_format: BetaFormat
    input_audio_transcription: BetaTranscription | None
    input_audio_noise_reduction: BetaNoiseReduction | None
    turn_detection: BetaTurnDetection | None
    include: tuple[Include, ...] | None


class BetaText(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    """Text of the assistant."""

    text: str


class BetaAudio(Struct, frozen=True, kw_only=True, tag_field="type", tag="audio"):
    """Sound of the assistant; `transcript` is absent once a truncation has deleted it."""

    audio: Sound | UnsetType = UNSET
    transcript: str | UnsetType = UNSET


class BetaMessageItem(Struct, frozen=True, kw_only=True, tag_field="type", tag="message"):
    """A message; an assistant's parts are called `text` and `audio`."""

    id: Id | UnsetType = UNSET
    object: ItemObject = "realtime.item"
    status: ItemStatus | UnsetType = UNSET
    role: Literal["system", "user", "assistant"]
    content: tuple[InputText | InputAudio | InputImage | BetaText | BetaAudio, ...]


BetaItem = BetaMessageItem | FunctionCallItem | FunctionCallOutputItem
"""What a beta conversation may hold: it knows no MCP."""


class BetaCachedTokensDetails(Struct, frozen=True, kw_only=True):
    """The cached part of the input tokens; images are named only where there are some."""

    text_tokens: int
    audio_tokens: int
    image_tokens: int | UnsetType = UNSET


class BetaInputTokenDetails(Struct, frozen=True, kw_only=True):
    """Input tokens by modality; images are named only where there are some."""

    text_tokens: int
    audio_tokens: int
    image_tokens: int | UnsetType = UNSET
    cached_tokens: int
    cached_tokens_details: BetaCachedTokensDetails


class BetaOutputTokenDetails(Struct, frozen=True, kw_only=True):
    """Output tokens by modality."""

    text_tokens: int
    audio_tokens: int


class BetaUsage(Struct, frozen=True, kw_only=True):
    """Tokens of one response: total = input + output."""

    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: BetaInputTokenDetails
    output_token_details: BetaOutputTokenDetails


class BetaResponse(Struct, frozen=True, kw_only=True):
    """The response object; `conversation_id` is null out of band, `usage` while in progress."""

    object: Literal["realtime.response"] = "realtime.response"
    id: str
    status: ResponseStatus
    status_details: StatusDetails | None
    output: tuple[BetaItem, ...]
    conversation_id: str | None
    modalities: tuple[Modality, ...]
    voice: str | None
    output_audio_format: BetaFormat
    temperature: float
    max_output_tokens: MaxOutputTokens
    usage: BetaUsage | None
    metadata: dict[str, str] | None
    duologue: ResponseExtension | UnsetType = UNSET
