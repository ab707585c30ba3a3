"""The Silero network in numpy beside the same file in ONNX Runtime, which is the measure."""

import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from duologue.errors import ModelFault
from duologue.hearing.resampling import resample
from duologue.hearing.silero_network import (
    FRAME_SAMPLES,
    INPUT_SAMPLES,
    SHAPES,
    STATE_FLOATS,
    SileroNetwork,
    read_tensors,
)
from recordings import recordings
from weights import weights

WINDOW_SAMPLES = 512
CONTEXT_SAMPLES = INPUT_SAMPLES - WINDOW_SAMPLES

Floats = NDArray[np.float32]


def inputs() -> list[Floats]:
    """All recordings at once, one a row, from their first window to the last of the longest."""
    sounds = [resample(r.pcm) for r in recordings()]
    count = max(len(sound) for sound in sounds) // WINDOW_SAMPLES
    rows = np.zeros((len(sounds), CONTEXT_SAMPLES + count * WINDOW_SAMPLES), np.float32)
    for row, sound in zip(rows, sounds, strict=True):
        row[CONTEXT_SAMPLES:][: len(sound)] = sound[: count * WINDOW_SAMPLES]
    starts = range(0, count * WINDOW_SAMPLES, WINDOW_SAMPLES)
    return [np.ascontiguousarray(rows[:, n : n + INPUT_SAMPLES]) for n in starts]


def scored(network: SileroNetwork, windows: list[Floats]) -> Floats:
    """[windows, streams]"""
    state = np.zeros((len(windows[0]), STATE_FLOATS), np.float32)
    scores = []
    for window in windows:
        score, state = network(window, state)
        scores.append(score)
    return np.array(scores)


def scored_by_onnxruntime(model_path: Path, windows: list[Floats]) -> Floats:
    graph = onnxruntime.InferenceSession(str(model_path), providers=["CPUExecutionProvider"])
    state = np.zeros((2, len(windows[0]), STATE_FLOATS // 2), np.float32)
    rate = np.array(16_000, np.int64)
    scores = []
    for window in windows:
        score, state = graph.run(None, {"input": window, "state": state, "sr": rate})
        scores.append(score[:, 0])
    return np.array(scores)


@pytest.mark.weights
def test_it_scores_every_window_as_onnxruntime_does() -> None:
    path = weights("silero-vad")
    windows = inputs()
    expected = scored_by_onnxruntime(path, windows)
    assert expected.max() > 0.99
    assert expected.min() < 0.01
    np.testing.assert_allclose(scored(SileroNetwork(path), windows), expected, atol=2e-4)


@pytest.mark.weights
def test_a_stream_is_scored_among_others_as_alone() -> None:
    network = SileroNetwork(weights("silero-vad"))
    windows = inputs()
    together = scored(network, windows)
    for stream in range(len(windows[0])):
        alone = scored(network, [window[stream : stream + 1] for window in windows])
        np.testing.assert_allclose(alone[:, 0], together[:, stream], atol=1e-4)


@pytest.mark.weights
@pytest.mark.parametrize("level", [0.0, 1.0, 1e4])
def test_no_sound_is_too_quiet_or_too_loud_for_a_probability(level: float) -> None:
    network = SileroNetwork(weights("silero-vad"))
    noise = np.random.default_rng(1).uniform(-level, level, (3, INPUT_SAMPLES))
    with np.errstate(all="raise", under="ignore"):
        scores = scored(network, [noise.astype(np.float32)] * 20)
    assert np.isfinite(scores).all()
    assert 0 <= scores.min() <= scores.max() <= 1


def made(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Floats]:
    random = np.random.default_rng(seed)
    return {
        name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()
    }


def graph_of(tensors: dict[str, Floats], prefix: str = "model.") -> onnx.GraphProto:
    initializers = [numpy_helper.from_array(t, prefix + name) for name, t in tensors.items()]
    return helper.make_graph([], "graph", [], [], initializers)


def save(graph: onnx.GraphProto, path: Path) -> Path:
    onnx.save(helper.make_model(graph), path)
    return path


def test_weights_are_read_where_a_file_has_one_rate_only(tmp_path: Path) -> None:
    tensors = made(SHAPES, 1)
    read = read_tensors(save(graph_of(tensors), tmp_path / "one_rate.onnx"))
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor)


def test_no_weight_is_taken_from_the_branch_of_another_rate(tmp_path: Path) -> None:
    half = FRAME_SAMPLES // 2
    eight = SHAPES | {
        "stft.forward_basis_buffer": (half + 2, 1, half),
        "encoder.0.reparam_conv.weight": (128, half // 2 + 1, 3),
    }
    sixteen = made(SHAPES, 2)
    node = helper.make_node(
        "If",
        ["is_eight"],
        ["score"],
        then_branch=graph_of(made(eight, 1), "eight__"),
        else_branch=graph_of(sixteen, "sixteen__"),
    )
    path = save(helper.make_graph([node], "both", [], []), tmp_path / "both.onnx")
    read = read_tensors(path)
    for name, tensor in sixteen.items():
        np.testing.assert_array_equal(read[name], tensor)


@pytest.mark.parametrize("missing", SHAPES)
def test_a_file_that_lacks_a_weight_is_refused_by_name(missing: str, tmp_path: Path) -> None:
    tensors = made(SHAPES, 1)
    del tensors[missing]
    path = save(graph_of(tensors), tmp_path / "other.onnx")
    with pytest.raises(ModelFault, match=re.escape(str(path)) + " is not Silero"):
        SileroNetwork(path)


@pytest.mark.parametrize("content", [b"no graph", b"", None])
def test_a_file_that_is_no_model_is_refused_by_name(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "silero.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelFault, match=re.escape(str(path))):
        SileroNetwork(path)
