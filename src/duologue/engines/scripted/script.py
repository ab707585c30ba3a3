"""The script: what the scripted engine says, hears and calls, from a TOML file or from a test."""

from pathlib import Path

import msgspec

from duologue.errors import ConfigFault


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A function call the script makes, if the ask offers a tool of that name."""

    name: str
    arguments: str = "{}"


class ScriptedReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One reply. `when` must occur in the last user text or tool result ("" fits always).

    `text` may hold `{heard}`, which becomes that last text. `first_delay_ms` passes before
    the first event, `word_delay_ms` before each further word. With `frame_ms` the sound comes in
    frames of so many ms, each when it is due, as from an engine that speaks in real time. `fail`
    ends the reply with that fault after its text.
    """

    text: str = ""
    when: str = ""
    calls: tuple[ScriptedCall, ...] = ()
    first_delay_ms: int = 0
    word_delay_ms: int = 0
    frame_ms: int = 0
    fail: str = ""


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the engine says (the first reply that fits) and hears (`transcripts` and
    `translations` in turn).

    A word is a token, of instructions, history and replies; `context_tokens` are remembered.
    `duplex`: as a model that listens while it speaks (`live.py`).
    """

    replies: tuple[ScriptedReply, ...] = (ScriptedReply(text="You said: {heard}"),)
    transcripts: tuple[str, ...] = ("Hello there.",)
    translations: tuple[str, ...] = ("Good day.",)
    word_ms: int = 240
    places: int = 1000
    context_tokens: int = 32_768
    max_output_tokens: int = 4096
    duplex: bool = False


def read_script(path: Path) -> Script:
    """The script in a TOML file. Raises `ConfigFault`."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Script)
    except (OSError, msgspec.MsgspecError) as fault:
        raise ConfigFault(f"the script {path} cannot be used: {fault}") from fault
