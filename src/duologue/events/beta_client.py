"""Events of a beta client: parsed JSON in, the GA events that mean the same out.

    JSON ─► rename_parts ─► typed beta event ─► to_ga ─► GA event

All but three have one shape in both dialects. The typed beta event is judged first, so that a
fault is told by the names and the path the client wrote.
"""

from typing import Any, Literal

from msgspec import UNSET, Struct, UnsetType, structs

from duologue.errors import Refusal
from duologue.events.beta_objects import (
    BetaFormat,
    BetaModalities,
    BetaNoiseReduction,
    BetaSemanticVad,
    BetaServerVad,
    BetaSessionUpdateParams,
    BetaToolChoice,
    BetaTranscription,
    BetaTranscriptionSessionUpdateParams,
    BetaTurnDetection,
    Temperature,
)
from duologue.events.client import CLIENT_EVENTS, ClientEvent, ResponseCreate, SessionUpdate
from duologue.events.faults import bad_choice
from duologue.events.items import InputItem
from duologue.events.responses import ResponseAudioUpdate, ResponseCreateParams
from duologue.events.scalars import EventId, MaxOutputTokens, Metadata, OutputModalities
from duologue.events.session import (
    AudioFormat,
    AudioInputUpdate,
    AudioOutputUpdate,
    AudioPcm,
    AudioPcma,
    AudioPcmu,
    AudioTranscription,
    AudioUpdate,
    NoiseReduction,
    RealtimeSessionUpdate,
    SemanticVad,
    ServerVad,
    TranscriptionAudioInputUpdate,
    TranscriptionAudioUpdate,
    TranscriptionSemanticVad,
    TranscriptionServerVad,
    TranscriptionSessionUpdate,
    TranscriptionTurnDetection,
    TurnDetection,
)
from duologue.events.tidy import flatten_tool_choice
from duologue.events.tools import FunctionChoice, FunctionTool, ToolChoice

GA_FORMATS: dict[BetaFormat, AudioFormat] = {
    "pcm16": AudioPcm(),
    "g711_ulaw": AudioPcmu(),
    "g711_alaw": AudioPcma(),
}

_PARTS = {
    "system": ("input_text",),
    "user": ("input_text", "input_audio", "input_image"),
    "assistant": ("text", "audio"),
}
_GA_PARTS = {"text": "output_text", "audio": "output_audio"}


class BetaSessionUpdate(Struct, frozen=True, kw_only=True, tag_field="type", tag="session.update"):
    """Change settings of the session; answered by `session.updated`."""

    event_id: EventId | UnsetType = UNSET
    session: BetaSessionUpdateParams


class BetaTranscriptionSessionUpdate(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="transcription_session.update"
):
    """Change a transcription session; answered by `transcription_session.updated`."""

    event_id: EventId | UnsetType = UNSET
    session: BetaTranscriptionSessionUpdateParams


class BetaResponseCreateParams(Struct, frozen=True, kw_only=True):
    """Settings of one response. `max_output_tokens` is another name of the longer one."""

    modalities: BetaModalities | UnsetType = UNSET
    instructions: str | UnsetType = UNSET
    voice: str | UnsetType = UNSET
    output_audio_format: BetaFormat | UnsetType = UNSET
    tools: tuple[FunctionTool, ...] | UnsetType = UNSET
    tool_choice: BetaToolChoice | UnsetType = UNSET
    temperature: Temperature | UnsetType = UNSET
    max_response_output_tokens: MaxOutputTokens | UnsetType = UNSET
    max_output_tokens: MaxOutputTokens | UnsetType = UNSET
    conversation: Literal["auto", "none"] = "auto"
    metadata: Metadata | None = None
    input: tuple[InputItem, ...] | UnsetType = UNSET


class BetaResponseCreate(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="response.create"
):
    """Ask for a reply."""

    event_id: EventId | UnsetType = UNSET
    response: BetaResponseCreateParams = BetaResponseCreateParams()


BetaClientEvent = BetaSessionUpdate | BetaTranscriptionSessionUpdate | BetaResponseCreate

BETA_CLIENT_EVENTS: dict[str, type[ClientEvent] | type[BetaClientEvent]] = {
    **CLIENT_EVENTS,
    "session.update": BetaSessionUpdate,
    "transcription_session.update": BetaTranscriptionSessionUpdate,
    "response.create": BetaResponseCreate,
}
"""Every event class of a beta client by its wire name."""


def rename_parts(event: dict[str, Any]) -> dict[str, str]:
    """Rewrite, in place, forms that have GA ones: content parts, references, tool choices.

    Returns what stands elsewhere now: its path, and the path the client wrote. Raises `Refusal`
    for a part that its message cannot have, in the words of the beta protocol.
    """
    moved: dict[str, str] = {}
    session, response, item = (event.get(key) for key in ("session", "response", "item"))
    if isinstance(session, dict):
        _flatten_tool_choice(session, "session", moved)
    if isinstance(item, dict):
        _rename_content(item, "item")
    if isinstance(response, dict):
        _flatten_tool_choice(response, "response", moved)
        entries = response.get("input")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            where = f"response.input[{index}]"
            if isinstance(entry, dict) and _refer(entry, where):
                moved[where] = f"{where}.content[0]"
            elif isinstance(entry, dict):
                _rename_content(entry, where)
    return moved


def as_written(refusal: Refusal, moved: dict[str, str]) -> Refusal:
    """`refusal` with the path the client wrote, where `rename_parts` has moved things."""
    param = refusal.param or ""
    for path, written in moved.items():
        if param == path or param.startswith(f"{path}."):
            told = written + param.removeprefix(path)
            return Refusal(refusal.code, refusal.message.replace(f"'{param}'", f"'{told}'"), told)
    return refusal


def to_ga(event: ClientEvent | BetaClientEvent) -> ClientEvent:
    """The GA event that asks for the same. Temperatures have no place in it."""
    match event:
        case BetaSessionUpdate(event_id=name, session=session):
            return SessionUpdate(event_id=name, session=ga_session(session))
        case BetaTranscriptionSessionUpdate(event_id=name, session=session):
            return SessionUpdate(event_id=name, session=ga_transcription_session(session))
        case BetaResponseCreate(event_id=name, response=response):
            return ResponseCreate(event_id=name, response=_response(response))
        case _:
            return event


def ga_session(session: BetaSessionUpdateParams) -> RealtimeSessionUpdate:
    """The nested form of a flat session."""
    return RealtimeSessionUpdate(
        model=session.model,
        output_modalities=_modalities(session.modalities),
        instructions=session.instructions,
        audio=AudioUpdate(
            input=AudioInputUpdate(
                format=_format(session.input_audio_format),
                noise_reduction=_noise_reduction(session.input_audio_noise_reduction),
                transcription=_transcription(session.input_audio_transcription),
                turn_detection=_turn_detection(session.turn_detection),
            ),
            output=AudioOutputUpdate(
                format=_format(session.output_audio_format),
                voice=session.voice,
                speed=session.speed,
            ),
        ),
        tools=session.tools,
        tool_choice=_tool_choice(session.tool_choice),
        max_output_tokens=session.max_response_output_tokens,
        tracing=session.tracing,
        prompt=session.prompt,
        include=session.include,
    )


def ga_transcription_session(
    session: BetaTranscriptionSessionUpdateParams,
) -> TranscriptionSessionUpdate:
    """The nested form of a flat transcription session."""
    return TranscriptionSessionUpdate(
        audio=TranscriptionAudioUpdate(
            input=TranscriptionAudioInputUpdate(
                format=_format(session.input_audio_format),
                noise_reduction=_noise_reduction(session.input_audio_noise_reduction),
                transcription=_transcription(session.input_audio_transcription),
                turn_detection=_silent_turn_detection(session.turn_detection),
            )
        ),
        include=session.include,
    )


def _response(response: BetaResponseCreateParams) -> ResponseCreateParams:
    limit = response.max_response_output_tokens
    return ResponseCreateParams(
        output_modalities=_modalities(response.modalities),
        instructions=response.instructions,
        audio=ResponseAudioUpdate(
            output=AudioOutputUpdate(
                format=_format(response.output_audio_format), voice=response.voice
            )
        ),
        tools=response.tools,
        tool_choice=_tool_choice(response.tool_choice),
        max_output_tokens=response.max_output_tokens if limit is UNSET else limit,
        conversation=response.conversation,
        metadata=response.metadata,
        input=response.input,
    )


def _flatten_tool_choice(settings: dict[str, Any], where: str, moved: dict[str, str]) -> None:
    choice = settings.get("tool_choice")
    flatten_tool_choice(settings)
    if settings.get("tool_choice") is not choice:
        moved[f"{where}.tool_choice.name"] = f"{where}.tool_choice.function.name"


def _refer(entry: dict[str, Any], where: str) -> bool:
    """Make the reference that a message holds as its only part an entry of its own."""
    parts = entry.get("content")
    if not isinstance(parts, list) or not any(_is_reference(part) for part in parts):
        return False
    if len(parts) > 1:
        message = "An 'item_reference' must be the only part of its message."
        raise Refusal("invalid_value", message, f"{where}.content")
    entry.clear()
    entry.update(parts[0])
    return True


def _is_reference(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == "item_reference"


def _rename_content(item: dict[str, Any], where: str) -> None:
    role, parts = item.get("role"), item.get("content")
    allowed = _PARTS.get(str(role))  # None: that fault is the role's, and no part is to blame
    if not isinstance(parts, list):
        return  # judged by type, later
    for index, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(kind, str):
            continue
        is_ga_part = role == "assistant" and kind in _GA_PARTS.values()
        if allowed and kind not in allowed and not is_ga_part:
            raise bad_choice(kind, allowed, f"{where}.content[{index}].type")
        if not allowed or role == "assistant":
            part["type"] = _GA_PARTS.get(kind, kind)


def _format(name: BetaFormat | UnsetType) -> AudioFormat | UnsetType:
    return UNSET if name is UNSET else GA_FORMATS[name]


def _modalities(asked: BetaModalities | UnsetType) -> OutputModalities | UnsetType:
    if asked is UNSET:
        return UNSET
    return ("audio",) if "audio" in asked else ("text",)


def _tool_choice(choice: BetaToolChoice | UnsetType) -> ToolChoice | UnsetType:
    match choice:
        case "none" | "auto" | "required":
            return choice
        case str(name):
            return FunctionChoice(name=name)
        case _:
            return choice


def _noise_reduction(
    wanted: BetaNoiseReduction | None | UnsetType,
) -> NoiseReduction | None | UnsetType:
    return NoiseReduction(type=wanted.type) if isinstance(wanted, BetaNoiseReduction) else wanted


def _transcription(
    wanted: BetaTranscription | None | UnsetType,
) -> AudioTranscription | None | UnsetType:
    if not isinstance(wanted, BetaTranscription):
        return wanted
    return AudioTranscription(**structs.asdict(wanted))


def _turn_detection(
    wanted: BetaTurnDetection | None | UnsetType,
) -> TurnDetection | None | UnsetType:
    match wanted:
        case BetaServerVad():
            return ServerVad(**_given(wanted))
        case BetaSemanticVad():
            return SemanticVad(**_given(wanted))
        case _:
            return wanted


def _silent_turn_detection(
    wanted: BetaTurnDetection | None | UnsetType,
) -> TranscriptionTurnDetection | None | UnsetType:
    match wanted:
        case BetaServerVad():
            return TranscriptionServerVad(**_given(wanted))
        case BetaSemanticVad():
            return TranscriptionSemanticVad(**_given(wanted))
        case _:
            return wanted


def _given(settings: Struct) -> dict[str, Any]:
    """The fields that are there, so that the others get their GA defaults."""
    return {name: value for name, value in structs.asdict(settings).items() if value is not UNSET}
