"""The command line, in this process; `serve` is tested as a process in gateway/test_server.py."""

from pathlib import Path

import pytest

from duologue import __version__
from duologue.cli import main
from duologue.config import SETTINGS


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DUOLOGUE_MODELS_DIR", str(tmp_path / "models"))


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"duologue {__version__}\n"


def test_no_command_and_unknown_ones_are_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["sing"], ["serve", "--api-key", "k"], ["models"]):
        with pytest.raises(SystemExit) as end:
            main(arguments)
        assert end.value.code == 2
    assert "usage: duologue" in capsys.readouterr().err


def test_the_help_of_serve_shows_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    shown = capsys.readouterr().out
    assert all(setting.flag in shown for setting in SETTINGS if setting.flag)
    assert "--api-key" not in shown


def test_models_are_listed_with_their_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("silero-vad") and "missing" in line for line in lines)


def test_the_path_of_a_missing_model_is_refused_in_one_line_with_the_remedy(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["models", "path", "silero-vad"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("duologue: silero-vad: silero_vad.onnx is missing")
    assert shown.err.endswith("run `duologue models pull silero-vad`.\n")
    assert shown.err.count("\n") == 1


def test_verify_hashes_anew_and_fails_on_what_was_altered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "verify"]) == 0
    file = tmp_path / "models" / "silero-vad" / "silero_vad.onnx"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"not weights")
    assert main(["models", "verify"]) == 1
    assert "silero_vad.onnx is truncated" in capsys.readouterr().err


def test_a_bad_setting_is_told_and_nothing_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "many"]) == 1
    assert "--port: 'many' is not allowed" in capsys.readouterr().err
