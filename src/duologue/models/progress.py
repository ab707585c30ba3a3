"""How far a download is, and how to show it to a person.

`pull` makes `Progress` values and hands them to a callback; `ProgressBar` is one such
callback. On a terminal it redraws one line; elsewhere (a log, a pipe) it writes a line now
and then, so that a log stays short and still shows life.
"""

import time
from typing import Any, Literal, TextIO

import msgspec
from tqdm import tqdm  # type: ignore[import-untyped]

Stage = Literal["waiting", "fetching", "verifying", "done"]
"""`waiting`: another process is pulling the same model. `done`: the model is in place."""

LOG_INTERVAL_S = 5.0
"""Seconds between two lines of the same stage when the stream is not a terminal."""


class Progress(msgspec.Struct, frozen=True):
    """`done_bytes` of `total_bytes` of this stage of this model; a total of 0 is unknown.

    While fetching, bytes are those of the packages as downloaded (compressed); what an earlier,
    interrupted pull brought counts as done. While verifying, bytes are of the assembled files.
    """

    model: str
    done_bytes: int
    total_bytes: int
    stage: Stage


class ProgressBar:
    """Writes progress to a text stream; call it with each `Progress`, close it at the end."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._bar: Any = None
        self._line: tuple[str, Stage] | None = None
        self._began_s = 0.0
        self._began_bytes = 0
        self._wrote_s = 0.0

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __call__(self, progress: Progress) -> None:
        if self._stream.isatty():
            self._redraw(progress)
        else:
            self._write(progress)

    def close(self) -> None:
        """Finish the line that is being drawn, if any."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _redraw(self, progress: Progress) -> None:
        if self._line != (progress.model, progress.stage):
            self.close()
            self._line = (progress.model, progress.stage)
            if progress.stage == "done":
                self._stream.write(f"{progress.model}: in place\n")
                return
            self._bar = tqdm(
                desc=f"{progress.model}: {progress.stage}",
                total=progress.total_bytes or None,
                initial=progress.done_bytes,
                unit="B",
                unit_scale=True,
                dynamic_ncols=True,
                leave=False,
                file=self._stream,
            )
        if self._bar is not None:
            self._bar.total = progress.total_bytes or None
            self._bar.update(progress.done_bytes - self._bar.n)

    def _write(self, progress: Progress) -> None:
        now_s = time.monotonic()
        new = self._line != (progress.model, progress.stage)
        if new:
            self._line = (progress.model, progress.stage)
            self._began_s, self._began_bytes = now_s, progress.done_bytes
        elif now_s - self._wrote_s < LOG_INTERVAL_S:
            return
        self._wrote_s = now_s
        if progress.stage == "done":
            text = f"{progress.model}: in place"
        elif progress.stage == "waiting":
            text = f"{progress.model}: waiting for another process that is pulling it"
        elif new:
            size = tqdm.format_sizeof(progress.total_bytes) + "B" if progress.total_bytes else ""
            text = f"{progress.model}: {progress.stage} {size}".rstrip()
        else:
            meter = tqdm.format_meter(
                progress.done_bytes,
                progress.total_bytes or None,
                now_s - self._began_s,
                initial=self._began_bytes,
                unit="B",
                unit_scale=True,
                bar_format="{n_fmt} of {total_fmt} {rate_fmt}",
            )
            text = f"{progress.model}: {progress.stage} {meter}"
        self._stream.write(text + "\n")
        self._stream.flush()
