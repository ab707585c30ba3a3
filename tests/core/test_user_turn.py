"""The user's turn: what `server_vad` does by its settings, by hand, and when it is changed."""

import pytest

from duologue.audio.pcm import BYTES_PER_MS
from duologue.core import inputs
from duologue.core.input_audio_buffer import LIMIT_MS
from duologue.core.inputs import AudioReceived
from duologue.core.user_turn import COMMIT_MINIMUM_MS
from duologue.events import (
    Error,
    InputAudioBufferCommitted,
    InputAudioBufferSpeechStarted,
    InputAudioBufferSpeechStopped,
    ResponseCreated,
    SessionUpdated,
)
from duologue.testing.timeline import Timeline
from session_kit import codes, detect, times, update, vad

COMMIT = {"type": "input_audio_buffer.commit"}
CLEAR = {"type": "input_audio_buffer.clear"}


@pytest.mark.conformance("C-053")
def test_null_switches_detection_off_and_is_echoed() -> None:
    t = Timeline()
    t.client_sends(0.05, detect(None))
    t.user_speaks(0.5, 2.0)
    t.run(4.0)
    assert t.events(SessionUpdated)[0].session.audio.input.turn_detection is None
    assert t.types() == ["session.created", "session.updated"]


@pytest.mark.conformance("C-054")
def test_what_is_left_out_of_server_vad_is_filled_in() -> None:
    t = vad(threshold=0.6)
    t.run(0.1)
    echoed = t.events(SessionUpdated)[0].session.audio.input.turn_detection
    assert (echoed.threshold, echoed.prefix_padding_ms) == (0.6, 300)
    assert (echoed.silence_duration_ms, echoed.idle_timeout_ms) == (500, None)
    assert echoed.create_response is True and echoed.interrupt_response is True


@pytest.mark.conformance("C-076")
def test_sound_alone_makes_no_event() -> None:
    t = Timeline()
    t.run(3.0)
    assert t.types() == ["session.created"]


@pytest.mark.parametrize(("score", "starts"), [(0.55, False), (0.65, True)])
def test_the_threshold_tells_speech_from_noise(score: float, starts: bool) -> None:
    t = vad(threshold=0.6)
    t.microphone = False
    for n in range(4):
        t.enter(0.1 + 0.032 * n, AudioReceived(bytes(1536), score))
    t.run(1.0)
    assert bool(t.events(InputAudioBufferSpeechStarted)) is starts


@pytest.mark.conformance("C-083")
@pytest.mark.parametrize(
    ("padding_ms", "start_s", "audio_start_ms"),
    [(0, 1.024, 1024), (300, 1.024, 724), (1000, 2.016, 1016), (1000, 0.512, 0)],
)
def test_speech_starts_by_the_padding_before_its_onset(
    padding_ms: int, start_s: float, audio_start_ms: int
) -> None:
    t = vad(prefix_padding_ms=padding_ms)
    t.user_speaks(start_s, start_s + 1.024)
    t.run(5.0)
    assert t.events(InputAudioBufferSpeechStarted)[0].audio_start_ms == audio_start_ms
    stopped = t.events(InputAudioBufferSpeechStopped)[0]
    pcm = t.engine.history[0].parts[0].pcm
    assert pcm is not None
    held_ms = len(pcm) / 48  # whole windows are kept, so up to one more
    assert 0 <= held_ms - (stopped.audio_end_ms - audio_start_ms) <= 32


def test_the_longest_padding_leaves_room_for_any_wait_and_is_kept_whole() -> None:
    t = vad(prefix_padding_ms=10_000)
    t.microphone = False
    window = AudioReceived(bytes(32 * BYTES_PER_MS), 0.0)
    waited = LIMIT_MS // 32 + 32  # more than the buffer could hold
    for n in range(waited):
        t.enter(0.1 + 0.032 * n, window)
    for n in range(waited, waited + 2):
        t.enter(0.1 + 0.032 * n, AudioReceived(window.pcm, 1.0))
    t.run(0.2 + 0.032 * (waited + 2))
    (started,) = t.events(InputAudioBufferSpeechStarted)
    assert started.audio_start_ms == waited * 32 - 10_000 and codes(t) == []


@pytest.mark.conformance("C-084", "C-085")
def test_offsets_keep_counting_across_commits_and_clears() -> None:
    t = vad()
    t.user_speaks(0.512, 1.504)
    t.client_sends(3.0, CLEAR)
    t.client_sends(3.5, COMMIT)
    t.user_speaks(5.024, 6.016)
    t.run(8.0)
    first, second = t.events(InputAudioBufferSpeechStarted)
    ends = [event.audio_end_ms for event in t.events(InputAudioBufferSpeechStopped)]
    assert (first.audio_start_ms, second.audio_start_ms) == (212, 4724)
    assert ends == [pytest.approx(2016, abs=32), pytest.approx(6528, abs=32)]
    stops = t.events(InputAudioBufferSpeechStopped)
    assert [event.item_id for event in stops] == [first.item_id, second.item_id]
    committed = [event.item_id for event in t.events(InputAudioBufferCommitted)]
    assert committed[0] == first.item_id and committed[-1] == second.item_id


@pytest.mark.conformance("C-090")
def test_a_manual_commit_during_speech_ends_the_segment_without_a_stop() -> None:
    t = vad()
    t.user_speaks(0.512, 3.008)
    t.client_sends(1.6, COMMIT)
    t.run(5.0)
    first, second = t.events(InputAudioBufferSpeechStarted)  # who goes on speaking starts anew
    committed = [event.item_id for event in t.events(InputAudioBufferCommitted)]
    assert committed == [first.item_id, second.item_id]
    assert [event.item_id for event in t.events(InputAudioBufferSpeechStopped)] == [second.item_id]
    assert second.audio_start_ms >= 1600 - 32, "no sound stands in two items"
    assert times(t, InputAudioBufferCommitted)[0] == 1.6
    assert times(t, ResponseCreated) == [times(t, InputAudioBufferSpeechStopped)[0]]


@pytest.mark.parametrize(
    ("event", "at_s"),
    [(CLEAR, 1.55), (detect(None), 1.55), (detect(None), 1.2)],
    ids=["clear", "null", "null in speech"],
)
def test_a_segment_that_is_given_up_ends_without_a_word(
    event: dict[str, object], at_s: float
) -> None:
    t = vad()
    t.user_speaks(0.512, 1.504)
    t.client_sends(at_s, event)
    t.run(4.0)
    assert len(t.events(InputAudioBufferSpeechStarted)) == 1
    assert t.events(InputAudioBufferSpeechStopped) == []
    assert t.events(InputAudioBufferCommitted) == []
    withdrawn = [None] if at_s > 1.504 else []
    assert t.engine.expected[-1:] == withdrawn, "nothing is expected any more"


def test_what_was_said_before_detection_was_switched_off_can_be_committed() -> None:
    t = vad()
    t.user_speaks(0.512, 1.504)
    t.client_sends(1.2, detect(None))
    t.client_sends(2.0, COMMIT)
    t.run(3.0)
    announced = t.events(InputAudioBufferSpeechStarted)[0].item_id
    assert t.events(InputAudioBufferCommitted)[0].item_id != announced
    pcm = t.engine.history[0].parts[0].pcm
    assert pcm is not None and len(pcm) / 48 == pytest.approx(2000 - 212, abs=64)


def test_another_silence_duration_in_mid_speech_goes_on_with_the_segment() -> None:
    t = vad(silence_duration_ms=2000)
    t.user_speaks(0.512, 2.016)
    t.client_sends(1.0, detect("server_vad", silence_duration_ms=200))
    t.run(4.0)
    assert len(t.events(InputAudioBufferSpeechStarted)) == 1
    (stopped,) = times(t, InputAudioBufferSpeechStopped)
    assert stopped == pytest.approx(2.016 + 0.2, abs=0.032)


def test_a_change_within_an_onset_loses_none_of_it() -> None:
    t = vad()
    t.user_speaks(0.512, 1.504)
    t.client_sends(0.55, detect("server_vad", silence_duration_ms=300))  # after the first window
    t.run(0.58)
    assert t.events(InputAudioBufferSpeechStarted)[0].audio_start_ms == 212


def test_the_shortest_burst_that_was_announced_is_stopped_and_committed() -> None:
    t = vad(prefix_padding_ms=0, silence_duration_ms=0)
    t.user_speaks(0.512, 0.576)  # two windows, and one of silence: less than may be committed
    t.run(2.0)
    started, stopped, committed = (
        t.events(kind)[0].item_id
        for kind in (
            InputAudioBufferSpeechStarted,
            InputAudioBufferSpeechStopped,
            InputAudioBufferCommitted,
        )
    )
    assert started == stopped == committed and codes(t) == []
    pcm = t.engine.history[0].parts[0].pcm
    assert pcm is not None and len(pcm) / 48 < COMMIT_MINIMUM_MS


def test_a_turn_that_never_ends_is_ended_when_the_buffer_is_full() -> None:
    t = vad(interrupt_response=False)
    t.user_speaks(0.512, 20.0)
    nearly_all = bytes((LIMIT_MS - 5000) * BYTES_PER_MS)
    t.enter(2.0, AudioReceived(nearly_all, 1.0))
    t.enter(7.0, AudioReceived(nearly_all, 1.0))
    t.run(12.0)
    started, stopped = (
        times(t, InputAudioBufferSpeechStarted),
        times(t, InputAudioBufferSpeechStopped),
    )
    assert len(started) == 3 and len(stopped) == 2, "each piece is a turn"
    assert stopped[0] == pytest.approx(0.212 + 5, abs=0.064) and codes(t) == []
    ends = [event.audio_end_ms for event in t.events(InputAudioBufferSpeechStopped)]
    starts = [event.audio_start_ms for event in t.events(InputAudioBufferSpeechStarted)]
    assert starts[1:] == ends, "nothing is lost between them"


def test_too_much_waiting_sound_is_refused_once() -> None:
    t = Timeline()
    t.client_sends(0.01, update(audio={"input": {"turn_detection": None}}))
    second = bytes(48_000)
    for index in range(31 * 60):
        t.enter(0.02 + index * 1e-5, inputs.AudioReceived(second))
    t.run(0.9)
    assert codes(t) == ["input_audio_buffer_full"]
    t.client_sends(1.0, {"type": "input_audio_buffer.clear"})
    t.run(1.1)
    assert t.types()[-1] == "input_audio_buffer.cleared"


def test_a_guess_and_what_it_becomes_are_the_same_sound() -> None:
    t = Timeline()
    t.user_speaks(0.5, 2.0)
    t.run(4.0)
    (expected,) = t.engine.expected
    assert expected.parts[0].media_id == t.engine.history[0].parts[0].media_id


@pytest.mark.conformance("C-086")
@pytest.mark.parametrize("silence_ms", [200, 500, 1000])
@pytest.mark.parametrize("speech_end_s", [0.8, 2.016])
def test_silence_ends_the_turn_within_a_window_of_what_was_set(
    silence_ms: int, speech_end_s: float
) -> None:
    t = Timeline()
    detection = {"type": "server_vad", "silence_duration_ms": silence_ms}
    t.client_sends(0.1, update(audio={"input": {"turn_detection": detection}}))
    t.user_speaks(0.512, speech_end_s)  # whole windows of 32 ms
    t.run(4.0)
    stopped = next(at for at, e in t.sent if isinstance(e, InputAudioBufferSpeechStopped))
    waited_ms = round((stopped - speech_end_s) * 1000)
    assert silence_ms <= waited_ms <= silence_ms + 32


def test_the_server_s_own_policy_waits_longer_after_a_single_word() -> None:
    t = Timeline()
    t.user_speaks(0.512, 1.024)
    t.user_speaks(1.024 + 0.512, 3.008)  # "Stop. <half a second> That's not what I asked for."
    t.run(5.0)
    stopped = [at for at, e in t.sent if isinstance(e, InputAudioBufferSpeechStopped)]
    assert len(stopped) == 1 and 0.4 <= stopped[0] - 3.008 <= 0.4 + 0.032


def test_a_commit_that_crosses_the_server_s_own_is_no_error_but_a_second_one_is() -> None:
    t = Timeline()
    detection = {"type": "server_vad", "silence_duration_ms": 200}
    t.client_sends(0.1, update(audio={"input": {"turn_detection": detection}}))
    t.user_speaks(0.512, 1.504)
    t.run(1.75)
    assert len(t.events(InputAudioBufferCommitted)) == 1
    t.client_sends(1.76, {"type": "input_audio_buffer.commit"})
    t.run(1.77)
    assert t.events(Error) == []
    t.client_sends(1.78, {"type": "input_audio_buffer.commit", "event_id": "mine"})
    t.run(1.79)
    error = t.events(Error)[0].error
    assert (error.code, error.event_id) == ("input_audio_buffer_commit_empty", "mine")
    assert len(t.events(InputAudioBufferCommitted)) == 1


def test_an_empty_commit_after_a_clear_is_an_error_in_every_mode() -> None:
    t = Timeline()
    detection = {"type": "server_vad", "silence_duration_ms": 200}
    t.client_sends(0.1, update(audio={"input": {"turn_detection": detection}}))
    t.user_speaks(0.512, 1.504)
    t.client_sends(1.76, {"type": "input_audio_buffer.clear"})
    t.client_sends(1.77, {"type": "input_audio_buffer.commit"})
    t.run(1.79)
    assert [e.error.code for e in t.events(Error)] == ["input_audio_buffer_commit_empty"]


def test_the_engine_is_told_what_to_expect_at_the_first_silence() -> None:
    t = Timeline()
    t.user_speaks(0.5, 1.0)
    t.user_speaks(1.2, 1.7)  # a pause of 200 ms in between
    t.run(3.0)
    first, withdrawn, second = t.engine.expected
    assert first is not None and second is not None and withdrawn is None
    assert first.id == second.id == t.engine.history[0].id
    sound, longer = first.parts[0].pcm or b"", second.parts[0].pcm or b""
    assert len(sound) < len(longer) < len(t.engine.history[0].parts[0].pcm or b"")
