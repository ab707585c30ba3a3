"""The settings themselves: `ServerConfig`.

Help texts, limits and the table in `docs/reference/settings.md` all come from the fields below,
by `table.py`.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

MIB = 1024 * 1024
SECRET = {"secret": True}
SECRET_OPTION = {"secret": True, "option": True}
"""A key of somebody else's server, which a trial may give on the command line."""

BUILT_IN_ENGINES = ("light", "chat", "realtime", "moshi", "scripted")
"""Names that no installed package can take."""

Count = Annotated[int, Meta(ge=1)]
PerSecond = Annotated[float, Meta(gt=0)]


class ServerConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What one server is. Not the client's `session` object, which is in `events`."""

    # Where it listens and who may come in
    host: Annotated[str, Meta(min_length=1, description="Address to listen on.")] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    ] = 8800
    api_key: Annotated[
        str | None,
        Meta(
            description="The key that clients must send. Without one, a key is made at start "
            "and printed once. Not to be given on the command line, where others could read it.",
            extra=SECRET,
        ),
    ] = None
    keys_file: Annotated[
        str | None,
        Meta(
            description="TOML file of further keys with limits of their own; changes to it take "
            "effect within seconds."
        ),
    ] = None
    prompts_dir: Annotated[
        str | None,
        Meta(
            description="Directory of stored prompts, which a client names in `prompt`; changes "
            "to it take effect within seconds, for sessions that begin then."
        ),
    ] = None
    auth_failure: Annotated[
        Literal["inband", "401"],
        Meta(
            description="How a WebSocket with a wrong key is refused: by an `error` event and "
            "close code 3000, or by HTTP 401 at the handshake (for load balancers)."
        ),
    ] = "inband"
    allowed_origins: Annotated[
        str,
        Meta(
            description="Origins of web pages that may connect, with commas between them, or `*`. "
            "Programs that are no browsers are not asked."
        ),
    ] = "*"
    playground: Annotated[
        Literal["open", "key", "off"],
        Meta(
            description="The page at `/`. `open`: in a browser on the server's own machine it "
            "needs no key, where there is an `api_key` or one was made at start; `key`: it always "
            "does; `off`: there is no page."
        ),
    ] = "open"
    tls_certificate: Annotated[
        str | None,
        Meta(description="PEM file of the certificate and its chain. With `tls_key`: TLS."),
    ] = None
    tls_key: Annotated[
        str | None, Meta(description="PEM file of the certificate's key, without a password.")
    ] = None

    # WebRTC calls
    webrtc_hosts: Annotated[
        str,
        Meta(
            description="Addresses of this machine on which calls take their packets, with "
            "commas between them. Empty: all but loopback."
        ),
    ] = ""
    webrtc_ports: Annotated[
        str,
        Meta(
            description="UDP ports of calls, such as `50000-50100`: one for each call and "
            "address. Empty: any that is free."
        ),
    ] = ""
    webrtc_address: Annotated[
        str,
        Meta(
            description="IP address that peers are told in place of this machine's own, where it "
            "stands behind a router or in a container that passes `webrtc_ports` on."
        ),
    ] = ""
    ice_servers: Annotated[
        str,
        Meta(
            description="STUN and TURN servers that the server itself uses for calls, "
            "`stun:HOST:PORT` or `turn:HOST:PORT`, with commas between them. Empty: none."
        ),
    ] = ""
    ice_username: Annotated[str | None, Meta(description="User name at the TURN server.")] = None
    ice_credential: Annotated[
        str | None, Meta(description="Password at the TURN server.", extra=SECRET)
    ] = None

    # What answers
    engine: Annotated[
        str,
        Meta(
            min_length=1,
            description="`light` is real models on the CPU; `chat` is one model that hears and "
            "speaks, on the model server that `upstream` names; `realtime` is another Realtime "
            "server; `moshi` is a full-duplex model in this process, on a GPU (`pip install "
            "duologue[moshi]`); `scripted` says what `script` says and needs no models; any "
            "other is the name of an engine that an installed package brings.",
        ),
    ] = "light"
    engine_config: Annotated[
        str | None,
        Meta(
            description="Settings of an engine that is not built in: a path to a TOML file, or "
            "the TOML itself. What may stand there its package says. Secrets belong in the file."
        ),
    ] = None
    upstream: Annotated[
        str | None,
        Meta(
            description="URL of the server that `engine` speaks to, or several with commas "
            "between. For `chat`: `http://HOST/v1`; for `realtime`: `ws://HOST/v1/realtime`."
        ),
    ] = None
    upstream_key: Annotated[
        str | None,
        Meta(
            description="The key that the model server asks for. It goes to the servers that "
            "`upstream` names and nowhere else. As an option it can be seen in the process list.",
            extra=SECRET_OPTION,
        ),
    ] = None
    upstream_model: Annotated[
        str | None,
        Meta(
            description="Name of the model as the upstream knows it; `realtime` may leave the "
            "choice to the upstream."
        ),
    ] = None
    upstream_voices: Annotated[
        str,
        Meta(
            description="Voices of that model, with commas between, the first being the default. "
            "Empty: it speaks as it likes, whatever voice a session asks for."
        ),
    ] = ""
    upstream_voice_sample: Annotated[
        str | None,
        Meta(description="Sound file: the voice that `realtime` shall have (`ref_audio`)."),
    ] = None
    upstream_end_to_end: Annotated[
        bool,
        Meta(
            description="Whether one model behind `realtime` both hears and speaks. Another "
            "duologue says so itself; of any other server it is claimed only if this says so."
        ),
    ] = False
    upstream_extra: Annotated[
        str | None,
        Meta(description="JSON: further fields of requests (`chat`), of sessions (`realtime`)."),
    ] = None
    upstream_dialect: Annotated[
        Literal["omni", "openai"],
        Meta(
            description="What `chat` sends: for vLLM-Omni, SGLang-Omni and the like, or for "
            "servers as strict as the hosted `gpt-audio`."
        ),
    ] = "omni"
    upstream_sees: Annotated[
        Literal["auto", "yes", "no"],
        Meta(
            description="Whether the model of `chat` looks at images; if not, they are refused "
            'when they are sent. `auto`: with the dialect "omni" it does, with "openai" not.'
        ),
    ] = "auto"
    upstream_tools: Annotated[
        bool,
        Meta(
            description="Whether the model of `chat` calls functions; if not, sessions with tools "
            "are refused."
        ),
    ] = True
    upstream_timeout_s: Annotated[
        float,
        Meta(gt=0, description="A model server that says nothing for so long has failed."),
    ] = 30.0
    moshi_model: Annotated[
        str,
        Meta(
            min_length=1,
            description="Weights of the engine `moshi`: a directory in transformers' format, or "
            "a hub id. Their hash is not checked; the preset ones are CC-BY-4.0.",
        ),
    ] = "hf:kmhf/hf-moshiko"
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        Meta(description="Where the engine `moshi` computes; `auto`: on the GPU if there is one."),
    ] = "auto"
    profile: Annotated[
        Literal["default", "small"],
        Meta(description="Which set of models `light` uses; `small` is quicker and knows less."),
    ] = "default"
    models_dir: Annotated[
        str | None, Meta(description="Where models are kept. Unset: the user's cache directory.")
    ] = None
    llm: Annotated[
        str | None,
        Meta(
            description="Language model in place of the profile's: a name of the catalogue, a "
            "path, or a hub id (`hf:owner/repo`); so too for `stt`, `vad`, `turn_end`. Or one "
            "on another server of the chat-completions protocol: `http(s)://host/v1#MODEL`."
        ),
    ] = None
    llm_key: Annotated[
        str | None,
        Meta(description="The key of the server that `llm` is the URL of.", extra=SECRET),
    ] = None
    llm_hears: Annotated[
        bool,
        Meta(
            description="Whether the model of `llm`, which must be a URL then, is one that takes "
            "sound and answers in text (Ultravox, Voxtral): it is sent what the user said as "
            "sound, not the transcript, which is made for the client only. How much sound "
            "`context_tokens` hold is a matter of `audio_tokens_per_s`."
        ),
    ] = False
    delegate: Annotated[
        str | None,
        Meta(
            description="A stronger text model that the engine, whichever it is, asks when a "
            "question is too hard for it: `http(s)://host/v1#MODEL` of a chat-completions server."
        ),
    ] = None
    delegate_key: Annotated[
        str | None,
        Meta(description="The key of the server that `delegate` is the URL of.", extra=SECRET),
    ] = None
    stt: Annotated[
        str | None,
        Meta(
            description="Speech recognition model in place of the profile's, or one on another "
            "server with `/v1/audio/transcriptions`: `http(s)://host/v1#MODEL`; with the engine "
            "`realtime` also `upstream`, which then writes down what the user says."
        ),
    ] = None
    stt_key: Annotated[
        str | None,
        Meta(description="The key of the server that `stt` is the URL of.", extra=SECRET),
    ] = None
    tts: Annotated[
        str | None,
        Meta(
            description="A voice on another server with `/v1/audio/speech`, in place of the "
            "profile's: `http(s)://host/v1#MODEL`."
        ),
    ] = None
    tts_key: Annotated[
        str | None,
        Meta(description="The key of the server that `tts` is the URL of.", extra=SECRET),
    ] = None
    tts_voices: Annotated[
        str,
        Meta(
            description="Names of the voices that the server of `tts` has, the default first, "
            "with commas between. Empty: the well-known names."
        ),
    ] = ""
    vad: Annotated[
        str | None,
        Meta(
            description="Voice activity model in place of the profile's, or `loudness`, which "
            "needs none. So too for the next one."
        ),
    ] = None
    turn_end: Annotated[
        str | None,
        Meta(description="Model that `semantic_vad` asks, in place of the profile's."),
    ] = None
    transcription_models: Annotated[
        str | None,
        Meta(
            description="Other models for the transcripts of what the user says: "
            "`NAME=MODEL` pairs with commas between, where a client asks for NAME and MODEL is "
            "as above. Names that are not set here mean the speech recognition model."
        ),
    ] = None
    threads: Annotated[
        Count | None, Meta(description="Threads of the language model. Unset: one per core.")
    ] = None
    context_tokens: Annotated[
        int,
        Meta(
            ge=1024,
            description="Tokens that one conversation of `light` or `chat` may hold, prompt and "
            "reply together; the model's own limit bounds it. With `realtime` the window of an "
            "upstream that tells none itself, for which 32768 is assumed where this is not set. "
            "With the default models of `light` each costs 28 KiB of memory for every session that "
            "can be open, and one more. So many the model of `delegate` is given at most, too.",
        ),
    ] = 4096
    audio_tokens_per_s: Annotated[
        PerSecond | None,
        Meta(
            description="Tokens that a second of the user's sound takes in the model of `chat`, or "
            "of `llm` with `llm_hears`. Unset: 25 for Qwen2.5-Omni, 12.5 for all others.",
        ),
    ] = None
    script: Annotated[
        str | None,
        Meta(
            description="What the `scripted` engine says: a path to a TOML file, or the TOML "
            "itself. Unset: it repeats what it heard."
        ),
    ] = None

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
