"""Moshi's weights from a directory: read, checked, put on the device.

A path goes in; out comes the model as transformers builds it, and its vocabulary. What is not a
whole Moshi with the codec that this engine streams is refused with a reason, before serving.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import MoshiConfig, MoshiForConditionalGeneration
from transformers.utils.logging import disable_progress_bar

from duologue.audio import pcm as audio
from duologue.engines.moshi.frames import FRAME_MS
from duologue.engines.moshi.text import Vocabulary
from duologue.errors import ConfigFault, ModelFault

Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class Weights:
    """What a `MoshiFrames` is made from; several may share it."""

    moshi: Any
    vocabulary: Vocabulary
    device: torch.device


def load_weights(path: Path, device: Device = "auto", threads: int | None = None) -> Weights:
    """The model in the directory `path`, in transformers' format. Blocks; never downloads.

    `threads` are those that torch uses on a CPU, in all of this process; None: one per core.
    Raises `ModelFault`, `ConfigFault` for a device that is not there.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    where = _device(device)
    config = _config(path)
    vocabulary = _vocabulary(path)
    disable_progress_bar()
    try:
        moshi, info = MoshiForConditionalGeneration.from_pretrained(
            path,
            config=config,
            local_files_only=True,
            output_loading_info=True,
            # Half as many bytes to read for each frame; on a CPU that would cost time instead.
            dtype=torch.bfloat16 if where.type == "cuda" else torch.float32,
        )
    except Exception as fault:  # its own kinds, safetensors', OSError
        raise ModelFault(f"the Moshi weights in {path} cannot be read: {_line(fault)}") from fault
    absent = sorted(map(str, info["missing_keys"])) + sorted(map(str, info["mismatched_keys"]))
    if absent:
        raise ModelFault(
            f"the Moshi weights in {path} are not whole: {len(absent)} tensors are missing or of "
            f"another shape, such as {absent[0]}"
        )
    moshi.eval().requires_grad_(False).to(where)
    moshi.audio_encoder.float()  # small, and what it hears and says is sound
    return Weights(moshi, vocabulary, where)


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
