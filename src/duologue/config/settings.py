"""The settings themselves: `ServerConfig`, and those of sessions, of sizes and of what is kept.

Help texts, limits and the table in `docs/reference/settings.md` all come from the fields here and
in `door.py` and `engine.py`, by `table.py`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from duologue.config.engine import Count, EngineSettings

MIB = 1024 * 1024


class ServerConfig(EngineSettings, frozen=True, kw_only=True):
    """What one server is. Not the client's `session` object, which is in `events`."""

    # What a session starts with
    instructions: Annotated[
        str, Meta(description="Instructions of a session until the client sends its own.")
    ] = ""
    voice: Annotated[
        str | None, Meta(description="Voice of a session until the client picks one.")
    ] = None
    silence_duration_ms: Annotated[
        int,
        Meta(
            ge=0,
            le=10000,
            description="Silence that ends a turn, unless the client says; "
            "250 ms more after a single word.",
        ),
    ] = 400
    turn_during_response: Annotated[
        Literal["skip", "answer"],
        Meta(
            description="A turn that ended while a response ran that it may not interrupt: not "
            "answered of itself, or answered when that response is done."
        ),
    ] = "skip"
    unknown_keys: Annotated[
        Literal["lenient", "strict"],
        Meta(description="Keys of client events that are not known: ignored, or refused."),
    ] = "lenient"
    missing_model: Annotated[
        Literal["lenient", "strict"],
        Meta(description="A connection without `model=`: gets the engine, or is refused."),
    ] = "lenient"
    unknown_model: Annotated[
        Literal["lenient", "strict"],
        Meta(description="A model name that is not known: gets the engine, or is refused."),
    ] = "strict"
    beta: Annotated[
        Literal["serve", "refuse"],
        Meta(
            description="Connections that ask for the beta protocol (`OpenAI-Beta: realtime=v1`): "
            "get it, or are refused, as the hosted service does today."
        ),
    ] = "serve"

    image_hosts: Annotated[
        str,
        Meta(
            description="Hosts from which images are fetched by https URL, `name` or "
            "`name:port`, with commas between. Empty: images are taken as data URIs only."
        ),
    ] = ""

    # How much
    max_sessions: Annotated[
        Count, Meta(description="Sessions at the same time; one more is refused at the door.")
    ] = 4
    max_listening_sessions: Annotated[
        Count,
        Meta(description="Transcription and translation sessions at the same time, besides those."),
    ] = 8
    session_max_s: Annotated[Count, Meta(description="Longest life of a session.")] = 3600
    max_message_bytes: Annotated[
        Count, Meta(description="Longest message of a client; 15 MiB of audio needs 20 MiB.")
    ] = 21 * MIB
    max_image_bytes: Annotated[
        Count, Meta(description="Largest image file that a client may send or have fetched.")
    ] = 10 * MIB
    outbox_bytes: Annotated[
        Count,
        Meta(
            description="Events that a session keeps for a client that reads slowly; beyond it "
            "the session is closed. An item is told twice: twice `max_message_bytes` at least."
        ),
    ] = 64 * MIB
    send_timeout_s: Annotated[
        float, Meta(gt=0, description="A client that takes nothing for so long is dropped.")
    ] = 20.0
    ping_interval_s: Annotated[
        float,
        Meta(gt=0, description="Time between WebSocket pings, and how long an answer may take."),
    ] = 20.0

    resume_grace_s: Annotated[
        int,
        Meta(
            ge=0,
            description="How long a session whose connection broke waits for its client, if "
            "that asked for it with `duologue_resume=1`. 0: never.",
        ),
    ] = 30

    # What is kept
    record_dir: Annotated[
        str | None,
        Meta(
            description="Where tapes of sessions (all they heard and said, and the packets of "
            "calls) are written. Unset: nothing is recorded."
        ),
    ] = None
    trace_dir: Annotated[
        str | None,
        Meta(
            description="Where the traces that clients ask for (`tracing`) are written: what "
            "happened, in words, without sound. Unset: `tracing` is shown and nothing is kept."
        ),
    ] = None
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description="How much is logged, on standard error."),
    ] = "warning"

    def __repr__(self) -> str:
        shown = (
            f"{field.name}={'…' if value and _is_secret(field.type) else repr(value)}"
            for field in msgspec.structs.fields(self)
            if (value := getattr(self, field.name)) != field.default
        )
        return f"ServerConfig({', '.join(shown)})"


def _is_secret(kind: Any) -> bool:
    return any((note.extra or {}).get("secret") for note in getattr(kind, "__metadata__", ()))
