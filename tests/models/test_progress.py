"""The progress bar: one line redrawn on a terminal, a few lines anywhere else."""

import io

from duologue.models import Progress, ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run(stream: io.StringIO) -> str:
    with ProgressBar(stream) as bar:
        for done in range(0, 10_000_001, 1_000_000):
            bar(Progress("toy", done, 10_000_000, "fetching"))
        bar(Progress("toy", 12_000_000, 12_000_000, "verifying"))
        bar(Progress("toy", 12_000_000, 12_000_000, "done"))
        bar(Progress("next", 0, 0, "waiting"))
    return stream.getvalue()


def test_a_log_gets_a_line_for_each_stage_and_no_control_characters():
    text = run(io.StringIO())
    assert text.splitlines() == [
        "toy: fetching 10.0MB",
        "toy: verifying 12.0MB",
        "toy: in place",
        "next: waiting for another process that is pulling it",
    ]
    assert "\r" not in text


def test_a_terminal_gets_a_line_that_is_redrawn():
    text = run(Terminal())
    assert "\rtoy: fetching:   0%|" in text
    assert "/10.0M" in text
    assert "toy: in place\n" in text
    assert text.count("\n") == 1
