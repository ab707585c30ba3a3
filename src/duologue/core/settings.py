"""The session's settings: one effective wire object, replaced as a whole by each update.

A partial update goes in, the next effective object comes out, or a refusal and nothing
changed. Merging follows reference 2.4 and GAP-7: `audio.input` and `audio.output` merge per
key, tagged objects are replaced as a unit. From the settings come the engine's `Ask`s.
"""

import re
from collections.abc import Sequence
from copy import copy
from typing import Any, Literal

import msgspec
from msgspec import UNSET, structs

from duologue.core.budget import check_output_limit, check_truncation, engine_truncation
from duologue.core.prompts import PromptLayer, Prompts, fields_of_session, filled, laid_under
from duologue.core.talk import Ask, Effort, Item, TranscriptionAsk
from duologue.core.tools import check_tool_choice, check_tools, engine_tools, kept_choice
from duologue.core.transcription_models import LOGPROBS, TranscriptionModels
from duologue.errors import Refusal
from duologue.events import (
    Audio,
    AudioInput,
    AudioOutput,
    InputImage,
    InputItem,
    MaxOutputTokens,
    MessageItem,
    NoiseReduction,
    OutputModalities,
    RealtimeSession,
    RealtimeSessionUpdate,
    ResponseCreate,
    ResponseCreateParams,
    ServerVad,
    SessionUpdate,
    SessionUpdateParams,
    ToolChoice,
    ToolEcho,
    TurnDetection,
    Voice,
    VoiceId,
)
from duologue.events import Tool as WireTool
from duologue.events.translation import TranslationSessionUpdate

WELL_KNOWN_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo"),
    *("sage", "shimmer", "verse", "marin", "cedar"),
)
"""The protocol's built-in names, which every engine maps onto voices that it has."""


class SessionConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What a session is made with. `expires_at` is Unix time; the session ends after `max_s`.

    `model_is_open`: the client named no model, so its first `session.update` may. `model_names`
    is a regular expression of the names that all lead to this session's engine. The engine's
    window is `context_tokens`; a reply without a limit of its own is at most
    `max_output_tokens` long. `calls_functions`, `takes_images`, `is_audible` (its replies can
    be sound) say what the engine can do; more than that is refused.
    `announces_conversation`: `conversation.created` follows `session.created` (GAP-3).
    `start`: what a client secret or a call was bound to; it is in force from the first event;
    `translation_start` is that of a translation session. `transcription_model` is what a
    transcription session begins with. `target_languages` are those a translation can speak.
    `plays`: playing the replies is ours, and how much was played comes in (`Played`).
    `duplex`: the engine is a full-duplex model that owns the floor (`core/floor.py`).
    `prompts` are those stored on the server, as they were when the session began.
    """

    id: str
    model: str
    type: Literal["realtime", "transcription", "translation"] = "realtime"
    transcription_models: TranscriptionModels = TranscriptionModels()
    transcription_model: str | None = None
    target_languages: tuple[str, ...] = ("en",)
    model_is_open: bool = False
    model_names: str = ""
    announces_conversation: bool = False
    voice: str = "alloy"
    voices: tuple[str, ...] = ()
    calls_functions: bool = True
    takes_images: bool = True
    is_audible: bool = True
    instructions: str = ""
    silence_duration_ms: int = 400
    context_tokens: int = 32_768
    max_output_tokens: int = 4096
    turn_during_response: Literal["skip", "answer"] = "skip"
    expires_at: int = 0
    max_s: float = 3600.0
    start: SessionUpdateParams | None = None
    translation_start: TranslationSessionUpdate | None = None
    plays: bool = False
    duplex: bool = False
    prompts: Prompts = {}


class Settings:
    """The effective settings of one session: `session` is what the client is shown."""

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._transcription_models = config.transcription_models
        self._voices = (*config.voices, *WELL_KNOWN_VOICES)
        self._model_is_open = config.model_is_open
        self.context_tokens = config.context_tokens
        self.own_turn_policy = True
        """Whether the client has left turn detection as the server set it."""
        self.session = RealtimeSession(
            id=config.id,
            model=config.model,
            expires_at=config.expires_at,
            output_modalities=("audio",) if config.is_audible else ("text",),
            instructions=config.instructions,
            audio=Audio(
                input=AudioInput(
                    turn_detection=ServerVad(silence_duration_ms=config.silence_duration_ms)
                ),
                output=AudioOutput(voice=config.voice),
            ),
        )
        self._prompts = PromptLayer(config.prompts, fields_of_session(self.session))
        if config.start is not None:
            self.update(config.start, voice_locked=False)
            self._model_is_open = config.model_is_open

    def update(self, change: SessionUpdateParams, *, voice_locked: bool) -> None:
        """Apply a partial update, all of it or none."""
        if not isinstance(change, RealtimeSessionUpdate):
            raise Refusal(
                "invalid_value", "The type of a session cannot be changed.", "session.type"
            )
        change, unset, prompts = self._prompts.under(change, voice_locked=voice_locked)
        fields = present(change) | unset
        if "model" in fields:
            fields["model"] = self._check_model(fields["model"])
        self._choose_tools(fields)
        if "output_modalities" in fields:
            self._check_modalities(fields["output_modalities"], "session.output_modalities")
        if "tracing" in fields:
            self._check_tracing(fields["tracing"])
        self._check_budget(change)
        if "audio" in fields:
            fields["audio"] = self._merge_audio(change, voice_locked=voice_locked)
        self.session, self._prompts = structs.replace(self.session, **fields), prompts
        self._model_is_open = False
        if change.audio and change.audio.input and change.audio.input.turn_detection is not UNSET:
            self.own_turn_policy = False

    def check_voice(self, voice: Voice, param: str, *, voice_locked: bool) -> str:
        """The plain name of a voice that there is and that may be chosen now (GAP-39, GAP-50)."""
        name = voice.id if isinstance(voice, VoiceId) else voice
        if name not in self._voices:
            known = ", ".join(f"'{known}'" for known in self._voices)
            raise Refusal(
                "invalid_value", f"Invalid value: '{name}'. Supported values are: {known}.", param
            )
        if voice_locked and name != self.session.audio.output.voice:
            raise Refusal(
                "cannot_update_voice",
                "Cannot update a conversation's voice if assistant audio is present.",
                param,
            )
        return name

    def ask(self, change: ResponseCreateParams, context: tuple[Item, ...] | None) -> Ask:
        """What the engine is asked: the session's settings merged with the response's own."""
        session = self.session
        output = change.audio.output if change.audio else UNSET
        voice = output.voice if output and output.voice else session.audio.output.voice
        speed = output.speed if output and output.speed else session.audio.output.speed
        modalities = change.output_modalities or session.output_modalities
        tools, choice = engine_tools(
            session.tools if change.tools is UNSET else change.tools,
            change.tool_choice or session.tool_choice,
        )
        limit = change.max_output_tokens or session.max_output_tokens
        parallel = change.parallel_tool_calls
        if parallel is UNSET:
            parallel = session.parallel_tool_calls
        return Ask(
            instructions=(
                session.instructions if change.instructions is UNSET else change.instructions
            ),
            tools=tools,
            tool_choice=choice,
            parallel_calls=parallel is not False,
            voice=voice.id if isinstance(voice, VoiceId) else voice,
            speed=speed,
            speak=modalities == ("audio",),
            max_tokens=_limit(limit),
            truncation=engine_truncation(session.truncation),
            context=context,
            keep=change.conversation == "auto",
            reasoning=self._effort(change),
            transcription=self._transcription(),
        )

    def prompted(
        self, params: ResponseCreateParams, *, voice_locked: bool = False
    ) -> ResponseCreateParams:
        """What one response asks for, with what its prompt lends; raises `Refusal`."""
        if not params.prompt:
            return params
        _, fields = filled(self._config.prompts, params.prompt, "response.prompt")
        if voice_locked:
            fields.pop("voice", None)
        return laid_under(params, fields)

    def proposed(self, event: SessionUpdate | ResponseCreate) -> Ask | None:
        """What the engine would be asked if `event` were taken; None if it has no more to read.

        Nothing is changed; what would be refused is asked nowhere.
        """
        trial = copy(self)
        try:
            if isinstance(event, ResponseCreate):
                params = self.prompted(event.response)
                return self.ask(params, None) if params.instructions or params.tools else None
            trial.update(event.session, voice_locked=False)
        except Refusal:
            return None
        before, after = (
            (s.session.instructions, s.session.tools, s.session.max_output_tokens)
            for s in (self, trial)
        )
        return None if before == after else trial.ask(ResponseCreateParams(), None)

    def _effort(self, change: ResponseCreateParams) -> Effort | None:
        reasoning = change.reasoning or self.session.reasoning
        return (reasoning.effort or None) if reasoning else None

    def _transcription(self) -> TranscriptionAsk | None:
        wanted = self.session.audio.input.transcription
        if wanted is None:
            return None
        logprobs = LOGPROBS in (self.session.include or ())
        return self._transcription_models.ask(wanted, logprobs=logprobs)

    def check_tools(self, tools: tuple[WireTool, ...], param: str) -> tuple[ToolEcho, ...]:
        """The tools as they may be shown, if the engine can call every one of them."""
        checked = check_tools(tools, param)
        if checked and not self._config.calls_functions:
            message = "The engine of this server calls no functions: leave tools out."
            raise Refusal("invalid_value", message, param)
        return checked

    def check_tool_choice(
        self, choice: ToolChoice, tools: Sequence[ToolEcho], param: str, *, waits: bool = False
    ) -> None:
        """Refuse a choice that `tools` cannot satisfy, or that waits for tools in vain."""
        waits = waits and self._config.calls_functions
        check_tool_choice(choice, tools, param, waits=waits)

    def check_content(self, item: InputItem, param: str) -> None:
        """Refuse an item with an image where the engine could make nothing of it."""
        if self._config.takes_images or not isinstance(item, MessageItem):
            return
        for index, part in enumerate(item.content):
            if isinstance(part, InputImage):
                message = "The engine of this server takes no images, only text and audio."
                raise Refusal("invalid_value", message, f"{param}.content[{index}].type")

    def check_response(self, change: ResponseCreateParams) -> None:
        """Refuse modalities, limits and formats of one response that cannot be had."""
        if change.output_modalities is not UNSET:
            self._check_modalities(change.output_modalities, "response.output_modalities")
        if change.max_output_tokens is not UNSET:
            room = self._config.context_tokens
            check_output_limit(change.max_output_tokens, room, "response.max_output_tokens")

    def _choose_tools(self, fields: dict[str, Any]) -> None:
        """Check the tools and the choice in an update's fields, each by the other."""
        if "tools" in fields:
            fields["tools"] = self.check_tools(fields["tools"], "session.tools")
        tools = fields.get("tools", self.session.tools)
        if "tool_choice" in fields:
            param = "session.tool_choice"
            self.check_tool_choice(fields["tool_choice"], tools, param, waits=True)
        else:
            fields["tool_choice"] = kept_choice(self.session.tool_choice, tools)

    def _check_budget(self, change: RealtimeSessionUpdate) -> None:
        limit = change.max_output_tokens or self.session.max_output_tokens
        truncation = change.truncation or self.session.truncation
        room = self._config.context_tokens
        check_output_limit(limit, room, "session.max_output_tokens")
        output_tokens = limit if isinstance(limit, int) else self._config.max_output_tokens
        check_truncation(truncation, output_tokens, room, "session.truncation")

    def _check_modalities(self, wanted: OutputModalities, param: str) -> None:
        if wanted == ("audio",) and not self._config.is_audible:
            message = "The engine of this server has no voice; supported values are: ['text']."
            raise Refusal("invalid_value", message, param)

    def _check_model(self, wanted: str) -> str:
        """The session's model, which stays what it is (C-061).

        SDKs name one of their own in every update; where that is another name of the same
        engine nothing is changed by it, and so nothing is refused.
        """
        own = self.session.model
        if wanted == own or self._model_is_open:
            return wanted
        if self._config.model_names and re.fullmatch(self._config.model_names, wanted):
            return own
        raise Refusal(
            "invalid_value",
            f"The model of a session cannot be changed; it is '{own}'.",
            "session.model",
        )

    def _check_tracing(self, tracing: object) -> None:
        if None not in (tracing, self.session.tracing) and tracing != self.session.tracing:
            raise Refusal(
                "invalid_value",
                "Tracing cannot be reconfigured once it is enabled; it can only be set to null.",
                "session.tracing",
            )

    def _merge_audio(self, change: RealtimeSessionUpdate, *, voice_locked: bool) -> Audio:
        merged = self.session.audio
        given = change.audio
        assert given is not UNSET
        if self._config.duplex and given.input and given.input.turn_detection is not UNSET:
            check_model_owns_floor(given.input.turn_detection, "session.audio.input.turn_detection")
        if given.input is not UNSET:
            fields = present(given.input)
            if fields.get("noise_reduction") is not None:
                fields["noise_reduction"] = keep_strength(
                    fields["noise_reduction"], merged.input.noise_reduction
                )
            if fields.get("transcription") is not None:
                fields["transcription"] = self._transcription_models.complete(
                    fields["transcription"], "session.audio.input.transcription"
                )
            merged = structs.replace(merged, input=structs.replace(merged.input, **fields))
        if given.output is not UNSET:
            fields = present(given.output)
            if "voice" in fields:
                fields["voice"] = self.check_voice(
                    fields["voice"], "session.audio.output.voice", voice_locked=voice_locked
                )
            merged = structs.replace(merged, output=structs.replace(merged.output, **fields))
        return merged


def check_model_owns_floor(turn_detection: TurnDetection | None, param: str) -> None:
    """Refuse turn detection that would take the floor from a full-duplex model.

    How long a silence shall be, and how eager, is not refused: the model goes by its own ear.
    """
    if turn_detection is None:
        raise Refusal(
            "invalid_value",
            "The engine of this server listens while it speaks and takes turns itself: turn "
            "detection cannot be switched off.",
            param,
        )
    for name in ("create_response", "interrupt_response"):
        if getattr(turn_detection, name) is False:
            raise Refusal(
                "invalid_value",
                "The engine of this server decides itself when it speaks and when it falls "
                f"silent: {name} cannot be false.",
                f"{param}.{name}",
            )


def present(change: msgspec.Struct) -> dict[str, Any]:
    """The fields of a partial update that are there."""
    pairs = ((name, getattr(change, name)) for name in change.__struct_fields__)
    return {name: value for name, value in pairs if value is not UNSET}


def keep_strength(wanted: NoiseReduction, current: NoiseReduction | None) -> NoiseReduction:
    """`wanted` with the strength in force where it names none; 1 when first enabled."""
    if wanted.strength is not UNSET:
        return wanted
    return structs.replace(wanted, strength=current.strength if current else 1.0)


def _limit(limit: MaxOutputTokens) -> int | None:
    return limit if isinstance(limit, int) else None
