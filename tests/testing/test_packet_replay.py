"""A call's packets, recorded on a bad network, heard again by a buffer and by a session."""

from pathlib import Path

from duologue.audio import pcm as audio
from duologue.audio.opus_receiver import OpusReceiver
from duologue.audio.packet_tape import read_arrivals
from duologue.events import InputAudioBufferSpeechStarted, InputAudioBufferSpeechStopped
from duologue.testing.packet_replay import replay_packets
from duologue.testing.timeline import Timeline

TAPE = Path(__file__).parent.parent / "data" / "packets" / "go_forward_5_percent.pcap"
SPOKEN_S = 2.786
"""The recording that the microphone said; speech begins and ends within it."""


def test_a_tape_sounds_the_same_every_time_and_has_no_hole() -> None:
    numbers = [packet.sequence for packet in read_arrivals(TAPE.read_bytes())]
    missing = numbers[-1] - numbers[0] + 1 - len(numbers)
    assert missing == 9 and numbers != sorted(numbers)
    receiver = OpusReceiver()
    heard = list(replay_packets(TAPE, receiver))
    assert heard == list(replay_packets(TAPE))
    # Loss alone, since none came too late; so sound lasts as long as what was said.
    assert (receiver.counts.lost, receiver.counts.late) == (missing, 0)
    sound = b"".join(pcm for _, pcm in heard)
    assert len(sound) == (len(numbers) + missing) * 20 * audio.BYTES_PER_MS


def test_no_sound_of_a_tape_is_held_back_longer_than_the_buffer_may() -> None:
    total_ms = 0.0
    late_ms: list[float] = []
    for at_s, pcm in replay_packets(TAPE):
        total_ms += len(pcm) / audio.BYTES_PER_MS
        late_ms.append(at_s * 1000 + 20 - total_ms)
    # 30 ms of jitter, 30 more for those held up, a target of 60 ms at most and a tick of 20.
    assert max(late_ms) < 30 + 60 + 20


def test_a_session_hears_one_turn_in_it() -> None:
    t = Timeline()
    t.engine.says("Ten meters.")
    t.hears(replay_packets(TAPE), lambda window: float(audio.loudness(window) > 500))
    t.run(8.0)
    kinds = [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
        "response.created",
        "response.done",
    ]
    assert [kind for kind in t.types() if kind in kinds] == kinds
    (began,) = t.events(InputAudioBufferSpeechStarted)
    (stopped,) = t.events(InputAudioBufferSpeechStopped)
    assert 0 <= began.audio_start_ms < stopped.audio_end_ms < (SPOKEN_S + 0.5) * 1000
