"""`resolve` turns a name, a path or a hub id into a path and never downloads; `list_models`."""

import pytest

from duologue.errors import ModelFault
from duologue.models import Store, list_models, profile, pull, resolve


def test_a_catalogue_name_is_verified(shelf, store):
    with pytest.raises(ModelFault, match=r"weights\.bin is missing"):
        resolve("toy", store)
    shelf.deliver(store)
    pull(["toy"], store)
    assert resolve("toy", store) == store.directory / "toy"


def test_a_path_is_used_as_it_is(store, tmp_path):
    file = tmp_path / "own.gguf"
    file.write_bytes(b"anything")
    assert resolve(str(file), store) == file
    assert resolve(str(tmp_path), store) == tmp_path


def test_a_relative_path_and_a_home_path_are_understood(store, tmp_path, monkeypatch):
    (tmp_path / "own.gguf").write_bytes(b"anything")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve("own.gguf", store).read_bytes() == b"anything"
    assert resolve("~/own.gguf", store) == tmp_path / "own.gguf"


def test_a_path_to_a_catalogue_file_in_the_store_is_verified(store):
    folder = store.directory / "toy"
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"short")
    for path in (folder, folder / "weights.bin"):
        with pytest.raises(ModelFault, match="truncated"):
            resolve(str(path), store)


def test_a_path_to_nothing_is_named_whole(store, tmp_path):
    with pytest.raises(ModelFault, match=f"there is no model at {tmp_path}/none.gguf"):
        resolve(str(tmp_path / "none.gguf"), store)


def test_a_word_that_is_neither_name_nor_file_gets_the_names(store):
    with pytest.raises(ModelFault, match="no model is called 'gpt': there are toy"):
        resolve("gpt", store)


def test_a_hub_id_that_is_not_on_this_machine_says_how_to_get_it(store):
    with pytest.raises(ModelFault, match=r"Run `duologue models pull hf:duologue-tests/none`"):
        resolve("hf:duologue-tests/none", store)


def test_the_list_shows_every_model_and_its_state(shelf, store, toy):
    assert [row.state for row in list_models(store)] == ["missing"]
    shelf.deliver(store)
    pull(["toy"], store)
    (row,) = list_models(store)
    assert (row.name, row.role, row.bytes, row.licence) == ("toy", "mind", toy.bytes, "MIT")
    assert row.state == "present"
    (store.directory / "toy" / "config.json").write_bytes(b"{}")
    assert [row.state for row in list_models(store)] == ["altered"]


def test_an_unknown_profile_is_refused_with_those_there_are(store: Store):
    with pytest.raises(ModelFault, match="there are default, small"):
        profile("huge")
