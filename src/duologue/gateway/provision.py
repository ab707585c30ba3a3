"""Models before serving: what a configuration needs, and bringing what is not there yet.

Settings in, settings out: those that can be served. Only what is missing is fetched; a file
that was altered or truncated is never replaced behind its owner's back but refused by name.
When the big profile cannot be had the small one is served, and that is said.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import structs

from duologue.config import ServerConfig
from duologue.errors import ConfigFault, ModelFault
from duologue.models import Role, Store, profile, resolve
from duologue.remote.address import is_remote

Fetch = Callable[[Sequence[str]], object]
"""Brings models by catalogue name or hub id; raises `ModelFault`."""

NO_MODEL: dict[Role, str] = {"activity": "loudness", "turn_end": "loudness", "ear": "upstream"}
"""What may stand in place of a model and needs none; `upstream` with the engine `realtime` only."""


def store_of(config: ServerConfig) -> Store:
    """The directory of models that the settings name."""
    return Store(Path(config.models_dir) if config.models_dir else None)


def specs(config: ServerConfig) -> dict[Role, str]:
    """The local model of each role: the profile's, or the one set in its place.

    An upstream has a mind and a mouth of its own; roles that need no model are left out, and so
    is a role that is filled on another server. Raises `ConfigFault`.
    """
    if config.llm_hears and not (config.llm and is_remote(config.llm)):
        raise ConfigFault(
            "llm_hears: true is not allowed without an llm on another server; allowed: false, or "
            "llm as URL#MODEL of a chat-completions server whose model takes sound"
        )
    chosen = profile(config.profile)
    own: dict[Role, str] = {
        "activity": config.vad or chosen.activity,
        "turn_end": config.turn_end or chosen.turn_end,
        "ear": _own_ear(config),
        "mind": config.llm or chosen.mind,
        "mouth": config.tts or chosen.mouth,
    }
    if config.engine in ("chat", "realtime"):
        del own["mind"], own["mouth"]
    if config.engine == "moshi":
        own["mind"] = config.moshi_model
        del own["mouth"]
    return {
        role: spec
        for role, spec in own.items()
        if spec != NO_MODEL.get(role) and not is_remote(spec)
    }


def _own_ear(config: ServerConfig) -> str:
    ear = config.stt or profile(config.profile).ear
    if ear == NO_MODEL["ear"] and config.engine != "realtime":
        raise ConfigFault(
            "stt: 'upstream' is not allowed; only the engine realtime has an upstream that writes "
            "down what it hears; allowed: a model, or a server as URL#MODEL"
        )
    return ear


def transcription_names(config: ServerConfig) -> dict[str, str]:
    """`transcription_models` as a mapping of names to models. Raises `ConfigFault`."""
    names: dict[str, str] = {}
    for pair in filter(None, map(str.strip, (config.transcription_models or "").split(","))):
        name, _, model = map(str.strip, pair.partition("="))
        if not name or not model:
            raise ConfigFault(
                f"transcription_models: {pair!r} is not allowed; allowed: NAME=MODEL, …"
            )
        names[name] = model
    return names


def ear_specs(config: ServerConfig) -> tuple[str, ...]:
    """Every speech recognition model, the engine's own first; some may be on other servers.

    Raises `ConfigFault`.
    """
    own = _own_ear(config)
    if own == NO_MODEL["ear"]:
        return ()
    return tuple(dict.fromkeys((own, *transcription_names(config).values())))


def _all_specs(config: ServerConfig) -> tuple[str, ...]:
    ears = (spec for spec in ear_specs(config) if not is_remote(spec))
    return tuple(dict.fromkeys((*specs(config).values(), *ears)))


def provide(
    config: ServerConfig, store: Store, fetch: Fetch, say: Callable[[str], None]
) -> ServerConfig:
    """See that every model is there; returns the settings to serve with. Blocks.

    `say` is told when it is another profile than the one asked for. Raises `ModelFault`.
    """
    try:
        _bring(config, store, fetch)
    except ModelFault as fault:
        altered = [spec for spec in _all_specs(config) if _is_altered(spec, store)]
        if config.profile == "small" or altered:
            raise
        small = structs.replace(config, profile="small")
        try:
            _bring(small, store, fetch)
        except ModelFault:
            raise fault from None
        say(f"profile {config.profile} cannot be had, going on with small: {fault}")
        return small
    return config


def _bring(config: ServerConfig, store: Store, fetch: Fetch) -> None:
    wanted = []
    for spec in _all_specs(config):
        if _is_missing(spec, store):
            wanted.append(spec)
        else:
            resolve(spec, store)
    if wanted:
        fetch(wanted)


def _is_missing(spec: str, store: Store) -> bool:
    if spec.startswith("hf:"):
        try:
            resolve(spec, store)
        except ModelFault:
            return True
        return False
    return _state(spec, store) in ("missing", "partial")


def _is_altered(spec: str, store: Store) -> bool:
    return _state(spec, store) == "altered"


def _state(spec: str, store: Store) -> str | None:
    """None for what is not of the catalogue."""
    entries = (entry for entry in store.catalogue if entry.name == spec)
    return next((store.state(entry) for entry in entries), None)
