import argparse
import wave
from pathlib import Path

import pytest

from duologue.talk_client import add_arguments, recording, run
from talk_client.signals import silence, tone

NOBODY = "http://127.0.0.1:9/v1"


def talk(*words: str) -> int:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return run(parser.parse_args(words))


@pytest.fixture
def question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DUOLOGUE_ENGINE", "scripted")
    path = tmp_path / "question.wav"
    recording.write(path, silence(200) + tone(600) + silence(100))
    return str(path)


def test_two_questions_are_answered_by_a_server_of_its_own(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = tmp_path / "answer.wav"
    assert talk(question, question, "-o", str(answer), "--url", NOBODY) == 0
    printed = capsys.readouterr()
    assert printed.out.count("you  Hello there.") == 2
    assert printed.out.count("server  You said: Hello there.") == 2
    assert printed.out.count("decision") == 2
    assert "starting one" in printed.err
    with wave.open(str(answer)) as file:
        assert (file.getframerate(), file.getnchannels()) == (24_000, 1)
        assert file.getnframes() > 24_000


@pytest.mark.parametrize("words", [(), ("--mic", "a.wav"), ("--mic", "-o", "a.wav")])
def test_what_cannot_go_together_is_refused(words: tuple[str, ...]) -> None:
    assert talk(*words) == 2


def test_a_missing_recording_is_named_before_anything_starts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert talk("nowhere.wav") == 2
    assert "nowhere.wav cannot be read: No such file" in capsys.readouterr().err


def test_an_address_elsewhere_where_nobody_answers_is_no_reason_to_start_a_server(
    question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert talk(question, "--url", "http://duologue.invalid/v1") == 3
    assert "nobody answers" in capsys.readouterr().err
