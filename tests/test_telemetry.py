"""No library tells its maker of your use of it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

RUN = """
import onnxruntime, sys
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""

QUIET = "import duologue\n"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph that gives back what it is given."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    made = helper.make_graph([node], "same", ends[:1], ends[1:])
    path = tmp_path / "same.onnx"
    save(helper.make_model(made, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def device_id(code: str, graph: Path, home: Path) -> bool:
    """Whether ONNX Runtime has given the machine an id, the first thing its telemetry does."""
    environ = {n: v for n, v in os.environ.items() if n not in ("ORT_DISABLE_TELEMETRY", "CI")}
    nowhere = dict.fromkeys(("HTTPS_PROXY", "https_proxy"), "http://127.0.0.1:1")
    subprocess.run(
        [sys.executable, "-c", code, str(graph)],
        env={**environ, **nowhere, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
        check=True,
    )
    return any(home.rglob("deviceid"))


def test_onnxruntime_reports_nothing(graph: Path, tmp_path: Path) -> None:
    assert device_id(RUN, graph, tmp_path / "loud"), "this check sees nothing any more"
    assert not device_id(QUIET + RUN, graph, tmp_path / "quiet")
