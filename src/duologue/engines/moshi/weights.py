"""Moshi's weights from a directory: read, checked, put on the device.

A path goes in; out comes the model as transformers builds it, and its vocabulary. What is not a
whole Moshi with the codec that this engine streams is refused with a reason, before serving; so
is one that memory does not last for.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import MoshiConfig, MoshiForConditionalGeneration
from transformers.utils.logging import disable_progress_bar

from duologue.audio import pcm as audio
from duologue.engines.moshi.frames import FRAME_MS
from duologue.engines.moshi.memory import GB, free_bytes, free_memory, is_of_memory
from duologue.engines.moshi.text import Vocabulary
from duologue.errors import ConfigFault, ModelFault

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Weights:
    """What a `MoshiFrames` is made from; several may share it."""

    moshi: Any
    vocabulary: Vocabulary
    device: torch.device


def set_threads(count: int) -> None:
    """Have torch use so many threads on a CPU, for what this thread and later ones compute."""
    torch.set_num_threads(count)


def load_weights(
    path: Path,
    device: Device = "auto",
    threads: int | None = None,
    *,
    free: Callable[[str], int | None] = free_bytes,
    read: Callable[..., Any] = MoshiForConditionalGeneration.from_pretrained,
) -> Weights:
    """The model in the directory `path`, in transformers' format. Blocks; never downloads.

    `threads` are those that torch uses on a CPU, in all of this process; None: as it likes.
    `free` tells the memory of a device, `read` is what reads. Raises `ModelFault`, also where
    memory does not last, and `ConfigFault` for a device that is not there.
    """
    if threads is not None:
        set_threads(threads)
    where = _device(device)
    config = _config(path)
    vocabulary = _vocabulary(path)
    # Half as many bytes to read for each frame; on a CPU that would cost time instead.
    dtype = torch.bfloat16 if where.type == "cuda" else torch.float32
    needed = _needed_bytes(path, dtype.itemsize)
    there = free(where.type)
    if needed is not None and there is not None and there < needed:
        # The kernel would not refuse it, but end this process in the middle.
        raise ModelFault(_too_large(path, where, needed, f"{there / GB:.1f} GB are free"))
    try:
        return Weights(_moshi(read, path, config, dtype, where), vocabulary, where)
    except Exception as error:
        if not is_of_memory(error):
            raise
        reason = _line(error)
    # Out here nothing refers to the error any more, and with it to what was read until then.
    free_memory()
    raise ModelFault(_too_large(path, where, needed, reason))


def _moshi(
    read: Callable[..., Any], path: Path, config: Any, dtype: torch.dtype, where: torch.device
) -> Any:
    disable_progress_bar()
    try:
        moshi, info = read(
            path,
            config=config,
            local_files_only=True,
            output_loading_info=True,
            dtype=dtype,
        )
    except Exception as fault:  # its own kinds, safetensors', OSError
        if is_of_memory(fault):
            raise
        raise ModelFault(f"the Moshi weights in {path} cannot be read: {_line(fault)}") from fault
    absent = sorted(map(str, info["missing_keys"])) + sorted(map(str, info["mismatched_keys"]))
    if absent:
        raise ModelFault(
            f"the Moshi weights in {path} are not whole: {len(absent)} tensors are missing or of "
            f"another shape, such as {absent[0]}"
        )
    moshi.eval().requires_grad_(False).to(where)
    moshi.audio_encoder.float()  # small, and what it hears and says is sound
    return moshi


def _needed_bytes(path: Path, itemsize: int) -> int | None:
    """Memory of the weights, by the heads of their files; None where these do not tell.

    A file begins with the length of its head, eight bytes, and the head: JSON with each
    tensor's shape (the format of safetensors).
    """
    values = 0
    try:
        for name in _files(path):
            with (path / name).open("rb") as file:
                head = json.loads(file.read(int.from_bytes(file.read(8), "little")))
            values += sum(prod(one["shape"]) for key, one in head.items() if key != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError):
        return None  # what is wrong with it the reading tells
    return values * itemsize or None


def _files(path: Path) -> set[str]:
    """The weights that are read: there may be others beside them."""
    index = path / "model.safetensors.index.json"
    if not index.is_file():
        return {"model.safetensors"}
    return set(map(str, json.loads(index.read_bytes())["weight_map"].values()))


def _too_large(path: Path, where: torch.device, needed: int | None, reason: str) -> str:
    need = "more memory than there is" if needed is None else f"{needed / GB:.1f} GB of memory"
    return (
        f"the Moshi weights in {path} (`moshi_model`) need {need} on the device {where.type} "
        f"(`device`), and places for conversations beside: {reason}"
    )


def _device(device: Device) -> torch.device:
    has_cuda = torch.cuda.is_available()
    if device == "cuda" and not has_cuda:
        raise ConfigFault("device: cuda is not there; torch sees no such device")
    return torch.device("cuda" if has_cuda and device != "cpu" else "cpu")


def _config(path: Path) -> Any:
    """The configuration, judged before gigabytes are read."""
    try:
        table = json.loads((path / "config.json").read_bytes())
        kind = table.get("model_type") if isinstance(table, dict) else None
    except (OSError, ValueError) as fault:
        raise ModelFault(
            f"{path} is no Moshi in transformers' format: config.json cannot be read: {fault}"
        ) from None
    if kind != "moshi":
        raise ModelFault(
            f"{path} is no Moshi in transformers' format: model_type of its config.json is "
            f"{kind!r}, not 'moshi'"
        )
    try:
        config = MoshiConfig.from_pretrained(path, local_files_only=True)
        codec = config.audio_encoder_config
        found = {
            "audio_encoder_config.sampling_rate": (codec.sampling_rate, audio.RATE_HZ),
            "audio_encoder_config.audio_channels": (codec.audio_channels, 1),
            "frames per second": (codec.frame_rate, 1000 / FRAME_MS),
            "audio_encoder_config.codebook_size": (codec.codebook_size, config.audio_vocab_size),
            "audio_encoder_config.use_causal_conv": (codec.use_causal_conv, True),
            "audio_encoder_config.trim_right_ratio": (codec.trim_right_ratio, 1.0),
            "positions per frame of the codec": (codec.latent_stride, 2),
        }
    except Exception as fault:  # transformers validates with kinds of several libraries
        raise ModelFault(f"config.json in {path} is not Moshi's: {_line(fault)}") from fault
    for what, (value, needed) in found.items():
        if value != needed:
            raise ModelFault(f"config.json in {path}: {what} is {value}; needed is {needed}")
    return config


def _vocabulary(path: Path) -> Vocabulary:
    """The pieces of tokenizer.json by token."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    except Exception as fault:  # a bare Exception is what it raises
        raise ModelFault(f"tokenizer.json in {path} cannot be read: {_line(fault)}") from None
    pieces = {token: piece for piece, token in tokenizer.get_vocab().items()}
    return Vocabulary(pieces)


def _line(fault: Exception) -> str:
    first = (str(fault).strip() or "no reason given").splitlines()[0]
    return f"{type(fault).__name__}: {first}"
