"""What `duologue talk` prints: both transcripts as they come, and a waterfall per turn."""

from collections.abc import Mapping

from openai.types.realtime import RealtimeServerEvent

from duologue.talk_client.turn import STAGES

BAR = 32


class Transcripts:
    """A line for each of the two who speak; a change of speaker begins a new one."""

    def __init__(self) -> None:
        self._speaker = ""

    def receive(self, event: RealtimeServerEvent) -> None:
        """Print what an event adds to either transcript."""
        if event.type == "conversation.item.input_audio_transcription.completed":
            self._print("you", event.transcript.strip() or "(nothing understood)")
            self.finish()
        elif event.type == "conversation.item.input_audio_transcription.failed":
            self._print("you", f"(no transcript: {event.error.message})")
            self.finish()
        elif (
            event.type == "response.output_audio_transcript.delta"
            or event.type == "response.output_text.delta"
        ):
            self._print("server", event.delta)
        elif event.type == "response.done":
            self.finish()
            if event.response.status == "cancelled":
                print("        (interrupted)")

    def finish(self) -> None:
        """End the line that was begun, if any."""
        if self._speaker:
            print()
        self._speaker = ""

    def _print(self, speaker: str, text: str) -> None:
        if speaker != self._speaker:
            self.finish()
            print(f"{speaker:>6}  ", end="")
        self._speaker = speaker
        print(text, end="", flush=True)


def waterfall(here_ms: Mapping[str, int], server_ms: Mapping[str, int]) -> str:
    """A line per stage: measured here, measured by the server, and a bar drawn to scale."""
    shown = [stage for stage in STAGES if stage in here_ms or stage in server_ms]
    if not shown:
        return ""
    longest = max(*here_ms.values(), *server_ms.values(), 1)
    lines = [f"  {'after the end of speech':<24}{'here':>9}{'server':>11}"]
    begin = 0
    for stage in shown:
        end = server_ms.get(stage, here_ms.get(stage, 0))
        left, right = (max(0, ms) * BAR // longest for ms in (min(begin, end), end))
        bar = " " * left + "█" * max(1, right - left)
        columns = f"{_ms(here_ms.get(stage)):>9}{_ms(server_ms.get(stage)):>11}"
        lines.append(f"  {stage.replace('_', ' '):<24}{columns}  {bar}")
        begin = end
    return "\n".join(lines)


def _ms(value: int | None) -> str:
    return "–" if value is None else f"{value} ms"
