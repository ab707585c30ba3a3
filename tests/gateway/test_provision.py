"""Models before serving: fetch what is missing, refuse what was altered, fall back aloud."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from duologue.config import ServerConfig
from duologue.errors import ConfigFault, ModelFault
from duologue.gateway.provision import ear_specs, provide, specs, transcription_names
from duologue.models import CATALOGUE, ModelEntry, ModelFile, Store

CONTENT = b"weights"


def tiny(entry: ModelEntry) -> ModelEntry:
    """A catalogue entry whose one file is a few bytes."""
    file = entry.files[0]
    part = structs.replace(file.parts[0], bytes=len(CONTENT))
    return structs.replace(
        entry, files=(ModelFile(file.path, hashlib.sha256(CONTENT).hexdigest(), (part,)),)
    )


class Registry:
    """Brings what it has into a store, and keeps what it was asked for."""

    def __init__(self, store: Store, lacks: Sequence[str] = ()) -> None:
        self.store = store
        self.lacks = lacks
        self.asked: list[str] = []

    def fetch(self, names: Sequence[str]) -> None:
        self.asked += names
        for name in names:
            if name in self.lacks:
                raise ModelFault(f"{name} cannot be reached.")
            entry = self.store.entry(name)
            path = self.store.file(entry, entry.files[0])
            path.parent.mkdir(parents=True)
            path.write_bytes(CONTENT)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path, tuple(tiny(entry) for entry in CATALOGUE))


DEFAULT = ServerConfig()
SMALL = ServerConfig(profile="small")
BIG_MIND = specs(DEFAULT)["mind"]
SMALL_MIND = specs(SMALL)["mind"]


def refuse_to_say(text: str) -> None:
    raise AssertionError(text)


def test_missing_models_are_fetched_once(store: Store) -> None:
    registry = Registry(store)
    assert provide(DEFAULT, store, registry.fetch, refuse_to_say) == DEFAULT
    assert sorted(registry.asked) == sorted(specs(DEFAULT).values())
    assert provide(DEFAULT, store, registry.fetch, refuse_to_say) == DEFAULT
    assert len(registry.asked) == len(specs(DEFAULT)) == 5


def test_when_the_big_models_cannot_be_had_the_small_ones_are_served_and_that_is_said(
    store: Store,
) -> None:
    said: list[str] = []
    served = provide(DEFAULT, store, Registry(store, [BIG_MIND]).fetch, said.append)
    assert served == SMALL
    assert said == [
        f"profile default cannot be had, going on with small: {BIG_MIND} cannot be reached."
    ]


def test_when_neither_can_be_had_the_first_reason_is_told(store: Store) -> None:
    registry = Registry(store, [BIG_MIND, SMALL_MIND])
    with pytest.raises(ModelFault, match=BIG_MIND):
        provide(DEFAULT, store, registry.fetch, refuse_to_say)
    with pytest.raises(ModelFault, match=SMALL_MIND):
        provide(SMALL, store, registry.fetch, refuse_to_say)


def test_an_altered_file_is_refused_by_name_and_hash_and_never_replaced(store: Store) -> None:
    registry = Registry(store)
    provide(DEFAULT, store, registry.fetch, refuse_to_say)
    entry = store.entry(BIG_MIND)
    store.file(entry, entry.files[0]).write_bytes(b"altered weights")
    with pytest.raises(ModelFault) as fault:
        provide(DEFAULT, store, registry.fetch, refuse_to_say)
    assert entry.files[0].path in str(fault.value)
    assert entry.files[0].sha256 in str(fault.value)
    assert len(registry.asked) == 5


def test_a_model_by_path_is_used_as_it_is(store: Store, tmp_path: Path) -> None:
    own = tmp_path / "own.gguf"
    own.write_bytes(b"own weights")
    registry = Registry(store)
    config = structs.replace(DEFAULT, llm=str(own))
    assert provide(config, store, registry.fetch, refuse_to_say) == config
    assert BIG_MIND not in registry.asked


def test_a_model_that_was_named_and_is_nowhere_is_told_not_replaced(store: Store) -> None:
    config = structs.replace(DEFAULT, llm="./nowhere.gguf")
    with pytest.raises(ModelFault, match="there is no model at .*nowhere.gguf"):
        provide(config, store, Registry(store).fetch, refuse_to_say)


def test_models_for_transcripts_are_named_and_fetched_beside_the_engine_s(store: Store) -> None:
    config = ServerConfig(
        profile="small", transcription_models="gpt-4o-transcribe=whisper-base, mine = whisper-base"
    )
    assert transcription_names(config) == {
        "gpt-4o-transcribe": "whisper-base",
        "mine": "whisper-base",
    }
    assert ear_specs(config) == ("whisper-tiny.en", "whisper-base")
    registry = Registry(store)
    provide(config, store, registry.fetch, refuse_to_say)
    assert sorted(registry.asked) == sorted([*specs(config).values(), "whisper-base"])


@pytest.mark.parametrize("setting", ["whisper-1", "=whisper-base", "whisper-1=", "a=b,c"])
def test_a_mapping_of_names_that_is_none_is_refused(setting: str) -> None:
    with pytest.raises(ConfigFault, match="NAME=MODEL"):
        transcription_names(ServerConfig(transcription_models=setting))


def test_a_front_needs_models_that_listen_and_no_others() -> None:
    front = ServerConfig(engine="realtime", profile="small")
    assert set(specs(front)) == {"activity", "turn_end", "ear"}
    assert ear_specs(front) == ("whisper-tiny.en",)
    nothing = structs.replace(front, vad="loudness", turn_end="loudness", stt="upstream")
    assert specs(nothing) == {} and ear_specs(nothing) == ()


@pytest.mark.parametrize("llm", [None, "smollm2-135m-instruct-q4_1", "./own.gguf"])
def test_a_language_model_here_does_not_hear(llm: str | None) -> None:
    with pytest.raises(ConfigFault, match="llm_hears: true is not allowed"):
        specs(structs.replace(SMALL, llm=llm, llm_hears=True))
    there = structs.replace(SMALL, llm="http://host/v1#ultravox", llm_hears=True)
    assert set(specs(there)) == {"activity", "turn_end", "ear", "mouth"}


def test_a_part_on_another_server_needs_no_model_here(store: Store) -> None:
    config = structs.replace(
        SMALL, llm="http://host/v1#m", stt="http://host/v1#w", tts="http://host/v1#v"
    )
    registry = Registry(store)
    assert provide(config, store, registry.fetch, refuse_to_say) == config
    assert set(specs(config)) == {"activity", "turn_end"}
    assert set(registry.asked) == set(specs(config).values())
    assert ear_specs(config) == ("http://host/v1#w",)
