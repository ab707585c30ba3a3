"""GA objects to beta objects: nested to flat, new names to old ones.

The way out of the core to a beta client; `beta_server.py` puts the results into events.
"""

from typing import Any

from msgspec import UNSET, structs

from duologue.events.beta_objects import (
    BetaAudio,
    BetaCachedTokensDetails,
    BetaFormat,
    BetaInputTokenDetails,
    BetaItem,
    BetaMessageItem,
    BetaNoiseReduction,
    BetaOutputTokenDetails,
    BetaResponse,
    BetaSemanticVad,
    BetaServerVad,
    BetaSession,
    BetaText,
    BetaTranscription,
    BetaTranscriptionSession,
    BetaTurnDetection,
    BetaUsage,
)
from duologue.events.items import (
    Content,
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    MessageItem,
    OutputAudio,
    OutputText,
)
from duologue.events.responses import Response, Usage
from duologue.events.scalars import Modality, OutputModalities
from duologue.events.session import (
    AudioFormat,
    AudioInput,
    AudioPcm,
    AudioPcmu,
    RealtimeSession,
    SemanticVad,
    TranscriptionAudioInput,
    TranscriptionSemanticVad,
    TranscriptionSession,
    TranscriptionTurnDetection,
    TurnDetection,
    VoiceId,
)
from duologue.events.tools import FunctionChoice, FunctionTool, McpChoice, ToolChoice

TEMPERATURE_KEY = "duologue.temperature"
"""Where a response that was asked for at a temperature keeps it while GA has no place for it:
in its metadata, from `response.create` to the response object, which shows neither."""


def flat_session(session: RealtimeSession, temperature: float) -> BetaSession:
    """The session as a beta client is shown it."""
    output, voice = session.audio.output, session.audio.output.voice
    return BetaSession(
        id=session.id,
        model=session.model,
        expires_at=session.expires_at,
        modalities=_modalities(session.output_modalities),
        instructions=session.instructions,
        voice=voice.id if isinstance(voice, VoiceId) else voice,
        output_audio_format=_format(output.format),
        tools=tuple(tool for tool in session.tools if isinstance(tool, FunctionTool)),
        tool_choice=_tool_choice(session.tool_choice),
        temperature=temperature,
        speed=output.speed,
        max_response_output_tokens=session.max_output_tokens,
        tracing=session.tracing,
        prompt=session.prompt,
        include=session.include,
        **_listening(session.audio.input),
    )


def flat_transcription_session(session: TranscriptionSession) -> BetaTranscriptionSession:
    """The transcription session as a beta client is shown it."""
    return BetaTranscriptionSession(
        id=session.id,
        expires_at=session.expires_at,
        include=session.include,
        **_listening(session.audio.input),
    )


def flat_response(response: Response, temperature: float) -> BetaResponse:
    """The response as a beta client is shown it; its own temperature wins over the session's."""
    metadata = response.metadata
    if metadata is not None and TEMPERATURE_KEY in metadata:
        temperature = float(metadata[TEMPERATURE_KEY])
        kept = {key: value for key, value in metadata.items() if key != TEMPERATURE_KEY}
        metadata = kept or None
    return BetaResponse(
        id=response.id,
        status=response.status,
        status_details=response.status_details,
        output=tuple(old for item in response.output if (old := old_item(item))),
        conversation_id=response.conversation_id,
        modalities=_modalities(response.output_modalities),
        voice=response.audio.output.voice,
        output_audio_format=_format(response.audio.output.format),
        temperature=temperature,
        max_output_tokens=response.max_output_tokens,
        usage=_usage(response.usage) if response.usage else None,
        metadata=metadata,
        duologue=response.duologue,
    )


def old_item(item: Item) -> BetaItem | None:
    """The item with the old names of its parts; None for the kinds that beta does not know."""
    match item:
        case MessageItem():
            return BetaMessageItem(
                id=item.id,
                status=item.status,
                role=item.role,
                content=tuple(_old_part(part) for part in item.content),
            )
        case FunctionCallItem() | FunctionCallOutputItem():
            return item
    return None


def _old_part(part: Content) -> Any:
    match part:
        case OutputText(text=text):
            return BetaText(text=text)
        case OutputAudio(audio=audio, transcript=transcript):
            return BetaAudio(audio=audio, transcript=transcript)
        case _:
            return part


def _listening(listening: AudioInput | TranscriptionAudioInput) -> dict[str, Any]:
    """The keys of either kind of session that say how it listens."""
    noise, wanted = listening.noise_reduction, listening.transcription
    return {
        "input_audio_format": _format(listening.format),
        "input_audio_noise_reduction": noise and BetaNoiseReduction(type=noise.type),
        "input_audio_transcription": wanted
        and BetaTranscription(model=wanted.model, language=wanted.language, prompt=wanted.prompt),
        "turn_detection": listening.turn_detection and _turn_detection(listening.turn_detection),
    }


def _turn_detection(
    detection: TurnDetection | TranscriptionTurnDetection,
) -> BetaTurnDetection:
    fields = structs.asdict(detection)
    if isinstance(detection, SemanticVad | TranscriptionSemanticVad):
        return BetaSemanticVad(**fields)
    fields.pop("idle_timeout_ms")
    return BetaServerVad(**fields)


def _format(chosen: AudioFormat) -> BetaFormat:
    if isinstance(chosen, AudioPcm):
        return "pcm16"
    return "g711_ulaw" if isinstance(chosen, AudioPcmu) else "g711_alaw"


def _modalities(chosen: OutputModalities) -> tuple[Modality, ...]:
    return ("text", "audio") if chosen == ("audio",) else ("text",)


def _tool_choice(choice: ToolChoice) -> str:
    match choice:
        case FunctionChoice(name=name):
            return name
        case McpChoice():
            return "required"  # the nearest word of a dialect without MCP
        case _:
            return choice


def _usage(usage: Usage) -> BetaUsage:
    given, cached = usage.input_token_details, usage.input_token_details.cached_tokens_details
    return BetaUsage(
        total_tokens=usage.total_tokens,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        input_token_details=BetaInputTokenDetails(
            text_tokens=given.text_tokens,
            audio_tokens=given.audio_tokens,
            image_tokens=given.image_tokens or UNSET,
            cached_tokens=given.cached_tokens,
            cached_tokens_details=BetaCachedTokensDetails(
                text_tokens=cached.text_tokens,
                audio_tokens=cached.audio_tokens,
                image_tokens=cached.image_tokens or UNSET,
            ),
        ),
        output_token_details=BetaOutputTokenDetails(
            text_tokens=usage.output_token_details.text_tokens,
            audio_tokens=usage.output_token_details.audio_tokens,
        ),
    )
