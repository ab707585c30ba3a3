"""What is no whole Moshi is refused before serving, and the fault is named."""

import json
import shutil
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from random_weights import skip_module_without_torch

skip_module_without_torch()

import torch  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from duologue.engines.moshi.weights import Weights, load_weights  # noqa: E402
from duologue.errors import ConfigFault, ModelFault  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture
def copy(directory: Path, tmp_path: Path) -> Path:
    return shutil.copytree(directory, tmp_path / "copy")


def change(path: Path, how: Callable[[dict[str, Any]], Any]) -> None:
    table = json.loads(path.read_text())
    how(table)
    path.write_text(json.dumps(table))


def test_a_whole_one_is_read_and_put_where_there_is_room(weights: Weights) -> None:
    assert weights.device.type == "cpu"
    assert weights.vocabulary.stream().text(5) == " noba"
    assert not any(parameter.requires_grad for parameter in weights.moshi.parameters())
    assert {parameter.dtype for parameter in weights.moshi.parameters()} == {torch.float32}


def test_a_directory_that_is_not_there_or_holds_something_else(tmp_path: Path) -> None:
    with pytest.raises(ModelFault, match="nowhere is no Moshi.*config.json cannot be read"):
        load_weights(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(ModelFault, match="model_type of its config.json is None"):
        load_weights(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ModelFault, match="config.json cannot be read"):
        load_weights(tmp_path)


def test_another_kind_of_model(copy: Path) -> None:
    change(copy / "config.json", lambda table: table.update(model_type="llama"))
    with pytest.raises(ModelFault, match="'llama', not 'moshi'"):
        load_weights(copy)


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("sampling_rate", 16_000, "sampling_rate is 16000; needed is 24000"),
        ("upsampling_ratios", [8, 6, 5, 2], r"frames per second is 25.0; needed is 12.5"),
        ("trim_right_ratio", 0.5, "trim_right_ratio is 0.5; needed is 1.0"),
        ("codebook_size", 128, "codebook_size is 128; needed is 64"),
        ("num_quantizers", "eight", "is not Moshi's"),
    ],
)
def test_a_codec_that_cannot_be_streamed_here(
    copy: Path, key: str, value: object, named: str
) -> None:
    def alter(table: dict[str, Any]) -> None:
        table["audio_encoder_config"][key] = value

    change(copy / "config.json", alter)
    with pytest.raises(ModelFault, match=named):
        load_weights(copy)


def test_a_vocabulary_that_is_missing_or_broken(copy: Path) -> None:
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFault, match="tokenizer.json in .* cannot be read"):
        load_weights(copy)
    (copy / "tokenizer.json").unlink()
    with pytest.raises(ModelFault, match="tokenizer.json in .* cannot be read"):
        load_weights(copy)


def test_weights_that_are_missing_cut_off_or_not_whole(copy: Path) -> None:
    path = copy / "model.safetensors"
    tensors = load_file(path)
    gone = "depth_decoder.lm_heads.weight"
    save_file({k: v for k, v in tensors.items() if k != gone}, path, {"format": "pt"})
    with pytest.raises(ModelFault, match=f"not whole: 1 tensors .* such as {gone}"):
        load_weights(copy)
    tensors[gone] = tensors[gone][:, :-1].contiguous()
    save_file(tensors, path, {"format": "pt"})
    with pytest.raises(ModelFault, match=r"not whole|cannot be read"):
        load_weights(copy)
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ModelFault, match="cannot be read"):
        load_weights(copy)
    path.unlink()
    with pytest.raises(ModelFault, match="cannot be read"):
        load_weights(copy)


def test_memory_that_is_too_small_is_told_before_anything_is_read(directory: Path) -> None:
    told = r"the Moshi weights in .* \(`moshi_model`\) need 0\.0 GB of memory on the device cpu "
    with pytest.raises(ModelFault, match=told + ".*: 0.0 GB are free"):
        load_weights(directory, "cpu", free=lambda device: 1_000_000)
    moshi = load_weights(directory, "cpu", free=lambda device: None).moshi
    size = sum(p.numel() * 4 for p in (*moshi.parameters(), *moshi.buffers()))
    assert load_weights(directory, "cpu", free=lambda device: size)


def test_memory_that_does_not_last_is_told_with_the_model(copy: Path) -> None:
    held: list[weakref.ref[torch.Tensor]] = []

    def read(path: Path, **options: object) -> None:
        half = torch.zeros(1000)
        held.append(weakref.ref(half))
        torch.empty(10**15)

    with pytest.raises(ModelFault, match=r"need 0\.0 GB of .* on the device cpu .*allocate memory"):
        load_weights(copy, "cpu", read=read)
    assert held[0]() is None, "what was read until then has been given back"
    (copy / "model.safetensors").write_bytes(b"no safetensors")
    with pytest.raises(ModelFault, match="need more memory than there is on the device cpu"):
        load_weights(copy, "cpu", read=read)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there(directory: Path) -> None:
    with pytest.raises(ConfigFault, match="^device: cuda is not there"):
        load_weights(directory, "cuda")
