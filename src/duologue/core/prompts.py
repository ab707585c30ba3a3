"""Stored prompts: templates of instructions and settings that a session or response names by id.

    {id, version?, variables?} ─► the version ─► variables filled in ─► settings, by name

What a client sets itself wins over the prompt, whichever came first (C-067). So a `PromptLayer`
remembers, for one session, which settings are the client's own and which the prompt lends; these
go back to what the session began with when the prompt goes. `gateway/prompt_files.py` reads the
files.
"""

import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from duologue.errors import Refusal
from duologue.events import (
    AudioOutputUpdate,
    AudioUpdate,
    MaxOutputTokens,
    OutputModalities,
    Prompt,
    PromptText,
    RealtimeSession,
    RealtimeSessionUpdate,
    Reasoning,
    ResponseAudioUpdate,
    ResponseCreateParams,
    Speed,
    Tool,
    ToolChoice,
    Voice,
)

VARIABLE = re.compile(r"\{\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
"""A place in the instructions that a variable fills."""

MOST_FILLED_CHARACTERS = 1024 * 1024
"""What all variables of a prompt may come to where they stand: beyond what any model reads."""

SPOKEN = ("voice", "speed")
"""Settings that stand in `audio.output`."""


class PromptOutput(msgspec.Struct, frozen=True, kw_only=True):
    """How a prompt is spoken."""

    voice: Voice | UnsetType = UNSET
    speed: Speed | UnsetType = UNSET


class PromptAudio(msgspec.Struct, frozen=True, kw_only=True):
    """The audio settings of a prompt."""

    output: PromptOutput | UnsetType = UNSET


class PromptVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a prompt, by the names that a session has for it.

    `variables` are what the places in `instructions` are filled with where a client gives
    nothing; a place that is not among them must be given.
    """

    instructions: str | UnsetType = UNSET
    output_modalities: OutputModalities | UnsetType = UNSET
    audio: PromptAudio | UnsetType = UNSET
    tools: tuple[Tool, ...] | UnsetType = UNSET
    tool_choice: ToolChoice | UnsetType = UNSET
    parallel_tool_calls: bool | UnsetType = UNSET
    reasoning: Reasoning | UnsetType = UNSET
    max_output_tokens: MaxOutputTokens | UnsetType = UNSET
    variables: dict[str, str] = {}


class StoredPrompt(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt by version; `current` is used where a client names none."""

    current: str
    versions: dict[str, PromptVersion]


Prompts = Mapping[str, StoredPrompt]
"""By id."""

Fields = dict[str, Any]
"""Settings by name, those in `audio.output` by their own."""

PLAIN = tuple(
    name for name in PromptVersion.__struct_fields__ if name not in ("audio", "variables")
)

_Change = TypeVar("_Change", RealtimeSessionUpdate, ResponseCreateParams)


def filled(prompts: Prompts, wanted: Prompt, param: str) -> tuple[Prompt, Fields]:
    """The prompt as it is shown, with its version, and its settings; raises `Refusal`.

    `param` is the path of the prompt, such as `session.prompt`.
    """
    stored = prompts.get(wanted.id)
    if stored is None:
        message = f"Prompt '{wanted.id}' does not exist on this server."
        raise Refusal("invalid_value", message, f"{param}.id")
    number = wanted.version or stored.current
    version = stored.versions.get(number)
    if version is None:
        known = ", ".join(f"'{known}'" for known in stored.versions)
        message = f"Prompt '{wanted.id}' has no version '{number}'; supported values are: {known}."
        raise Refusal("invalid_value", message, f"{param}.version")
    fields = fields_of(version)
    places = VARIABLE.findall(fields.get("instructions", ""))
    values = version.variables | _values(wanted, f"{param}.variables")
    _check_variables(set(places) | version.variables.keys(), values, f"{param}.variables")
    if places:
        if sum(len(values[place]) for place in places) > MOST_FILLED_CHARACTERS:
            message = f"Filled in, variables may hold {MOST_FILLED_CHARACTERS} characters."
            raise Refusal("string_above_max_length", message, f"{param}.variables")
        fields["instructions"] = VARIABLE.sub(
            lambda place: values[place[1]], fields["instructions"]
        )
    return msgspec.structs.replace(wanted, version=number), fields


def fields_of(given: PromptVersion | RealtimeSessionUpdate | ResponseCreateParams) -> Fields:
    """What is set there of all that a prompt can set."""
    pairs = [(name, getattr(given, name)) for name in PLAIN]
    if given.audio and given.audio.output:
        pairs += [(name, getattr(given.audio.output, name)) for name in SPOKEN]
    return {name: value for name, value in pairs if value is not UNSET}


def fields_of_session(session: RealtimeSession) -> Fields:
    """The same of a whole session."""
    spoken = {name: getattr(session.audio.output, name) for name in SPOKEN}
    return {name: getattr(session, name) for name in PLAIN} | spoken


def laid_under(change: _Change, fields: Fields) -> _Change:
    """`change` with those of `fields` that it does not set itself."""
    own = fields_of(change).keys()
    missing = {name: fields[name] for name in fields.keys() - own}
    if "tools" in own:  # a choice among other tools
        missing.pop("tool_choice", None)
    spoken = {name: missing.pop(name) for name in SPOKEN if name in missing}
    if spoken:
        audio = change.audio
        output = msgspec.structs.replace((audio and audio.output) or AudioOutputUpdate(), **spoken)
        if isinstance(change, ResponseCreateParams):
            missing["audio"] = ResponseAudioUpdate(output=output)
        else:
            missing["audio"] = AudioUpdate(
                input=change.audio.input if change.audio else UNSET, output=output
            )
    return msgspec.structs.replace(change, **missing)


class PromptLayer(msgspec.Struct, frozen=True):
    """What one session has of prompts. `initial` is what it began with."""

    prompts: Prompts
    initial: Fields
    own: frozenset[str] = frozenset()
    """Settings that the client has made itself."""
    lent: frozenset[str] = frozenset()
    """Settings that are the prompt's."""

    def under(
        self, change: RealtimeSessionUpdate, *, voice_locked: bool
    ) -> tuple[RealtimeSessionUpdate, Fields, "PromptLayer"]:
        """`change` with what its prompt lends, what goes back to nothing, the layer afterwards.

        Raises `Refusal`.
        """
        own = self.own | fields_of(change).keys()
        if change.prompt is UNSET:
            return change, {}, msgspec.structs.replace(self, own=own, lent=self.lent - own)
        shown, fields = change.prompt, Fields()
        if change.prompt is not None:
            shown, fields = filled(self.prompts, change.prompt, "session.prompt")
        # A voice that has been heard stays, whatever another prompt would have.
        stays = {"voice"} if voice_locked else set()
        back = self.lent - fields.keys() - own - stays
        lent = {name: fields[name] for name in fields.keys() - own - stays}
        if "tools" in own:  # a choice among the prompt's tools says nothing of the client's own
            lent.pop("tool_choice", None)
        base = {name: self.initial[name] for name in back} | lent
        unset = {name: value for name, value in base.items() if value is UNSET}
        change = msgspec.structs.replace(laid_under(change, base), prompt=shown)
        return change, unset, msgspec.structs.replace(self, own=own, lent=frozenset(lent))


def _values(wanted: Prompt, param: str) -> dict[str, str]:
    values = {}
    for name, value in (wanted.variables or {}).items():
        if isinstance(value, PromptText):
            value = value.text
        if not isinstance(value, str):
            message = "A variable is filled into the instructions: it must be text."
            raise Refusal("invalid_value", message, f"{param}.{name}")
        values[name] = value
    return values


def _check_variables(known: set[str], values: Mapping[str, str], param: str) -> None:
    for what, names in (
        ("Missing", known - values.keys()),
        ("Unknown", values.keys() - known),
    ):
        if names:
            message = f"{what} prompt variables: {', '.join(sorted(names))}."
            raise Refusal("invalid_value", message, param)
