"""The settings of what answers: the engine, its models, and the servers that it asks."""

from typing import Annotated, Literal

from msgspec import Meta

from duologue.config.door import SECRET, DoorSettings

SECRET_OPTION = {"secret": True, "option": True}
"""A key of somebody else's server, which a trial may give on the command line."""

BUILT_IN_ENGINES = ("light", "chat", "realtime", "moshi", "scripted")
"""Names that no installed package can take."""

Count = Annotated[int, Meta(ge=1)]
PerSecond = Annotated[float, Meta(gt=0)]


class EngineSettings(DoorSettings, frozen=True, kw_only=True):
    """Who answers the clients.

    It stands on the settings of the door since a struct has one base; `ServerConfig` is on top.
    """

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
            "duologue says so itself, and with its first session a full-duplex model on vLLM-Omni; "
            "of any other server it is claimed only if this says so."
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
            'when they are sent. `auto`: with the dialect "omni" it does, with "openai" not. So '
            "too of `realtime`, unless another duologue says so itself; `auto`: it is sent them."
        ),
    ] = "auto"
    upstream_tools: Annotated[
        bool,
        Meta(
            description="Whether the model of `chat` calls functions, or that behind `realtime`, "
            "unless it is another duologue, which says so itself; if not, sessions with tools are "
            "refused."
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
        Count | None,
        Meta(
            description="Threads of the language model. Unset: one per core; for `moshi` as many "
            "as a trial at the start finds quickest."
        ),
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
