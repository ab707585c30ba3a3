"""Whose turn it is: frames in, events out."""

from collections.abc import Iterable

from duologue.core.talk import Began, Done, Floor, LiveEvent, Say
from duologue.engines.moshi.floor import (
    DONE_FRAMES,
    STOP_FRAMES,
    VOICED_FRAMES,
    WORDLESS_FRAMES,
    YIELD_FRAMES,
    FloorEstimate,
)
from duologue.engines.moshi.frames import FRAME_BYTES, FRAME_MS, Spoken
from duologue.engines.moshi.text import Vocabulary

HELLO, THERE, END, PAD = 5, 6, 0, 3
VOCABULARY = Vocabulary({HELLO: "▁Hello", THERE: "▁there"})


def sound(level: int) -> bytes:
    return level.to_bytes(2, "little", signed=True) * (FRAME_BYTES // 2)


QUIET, SPEECH = sound(10), sound(2000)


class Talk:
    """Feeds frames and keeps the time."""

    def __init__(self, window: int = 3000) -> None:
        self.floor = FloorEstimate(VOCABULARY.stream(), window)
        self.at_ms = 0

    def frame(self, heard: bytes, token: int | None, pcm: bytes) -> list[LiveEvent]:
        self.at_ms += FRAME_MS
        return list(self.floor.frame(heard, Spoken(token, pcm), self.at_ms))

    def run(self, heard: bytes, token: int | None, pcm: bytes, times: int) -> list[LiveEvent]:
        return [event for _ in range(times) for event in self.frame(heard, token, pcm)]


def floors(events: Iterable[LiveEvent]) -> list[tuple[str, int]]:
    return [(event.kind, event.at_ms) for event in events if isinstance(event, Floor)]


def test_nothing_is_said_while_the_model_writes_no_word_however_loud_it_hums() -> None:
    talk = Talk()
    assert talk.frame(QUIET, None, QUIET) == []
    assert talk.run(QUIET, PAD, SPEECH, 50) == []
    assert not talk.floor.is_replying


def test_a_reply_begins_with_its_first_word_and_is_done_when_it_has_been_silent() -> None:
    talk = Talk()
    talk.run(QUIET, PAD, QUIET, 10)
    first = talk.frame(QUIET, HELLO, SPEECH)
    assert first == [
        Floor("reply_starts", 880),
        Began({"audio": 11}, {"audio": 0}),
        Say("Hello", SPEECH, 0, 1),
    ]
    assert talk.floor.is_replying
    assert talk.frame(QUIET, THERE, SPEECH) == [Say(" there", SPEECH, 5, 1)]
    rest = talk.run(QUIET, PAD, QUIET, DONE_FRAMES)
    assert rest[-1] == Done()
    assert all(isinstance(event, Say) for event in rest[:-1])
    assert len(rest) == DONE_FRAMES + 1
    assert not talk.floor.is_replying
    assert talk.run(QUIET, PAD, QUIET, 5) == []


def test_a_piece_counts_as_voiced_with_the_next_one_or_after_a_while() -> None:
    talk = Talk()
    says = [e for e in talk.frame(QUIET, HELLO, SPEECH) if isinstance(e, Say)]
    says += [e for e in talk.run(QUIET, PAD, SPEECH, VOICED_FRAMES) if isinstance(e, Say)]
    assert [say.voiced for say in says] == [0, 0, 0, 5]
    (said,) = talk.frame(QUIET, THERE, SPEECH)
    assert isinstance(said, Say)
    assert said.voiced == 5
    assert len("Hello" + said.text) == 11


def test_the_frame_that_announces_a_word_belongs_to_its_sound() -> None:
    talk = Talk()
    talk.frame(QUIET, PAD, sound(1))
    assert talk.frame(QUIET, END, sound(2)) == []
    say = talk.frame(QUIET, HELLO, sound(3))[-1]
    assert say == Say("Hello", sound(2) + sound(3), 0, 2)


def test_an_announcement_that_no_word_follows_is_forgotten() -> None:
    talk = Talk()
    talk.frame(QUIET, END, sound(2))
    talk.frame(QUIET, PAD, sound(4))
    assert talk.frame(QUIET, HELLO, sound(3))[-1] == Say("Hello", sound(3), 0, 1)


def test_pauses_between_words_are_part_of_the_reply() -> None:
    talk = Talk()
    talk.frame(QUIET, HELLO, SPEECH)
    pause = talk.run(QUIET, PAD, QUIET, DONE_FRAMES - 1)
    assert all(isinstance(event, Say) and event.pcm == QUIET for event in pause)
    assert talk.frame(QUIET, THERE, SPEECH) == [Say(" there", SPEECH, 5, 1)]


def test_a_reply_that_only_hums_on_is_done_at_last() -> None:
    talk = Talk()
    talk.frame(QUIET, HELLO, SPEECH)
    assert talk.run(QUIET, PAD, SPEECH, WORDLESS_FRAMES)[-1] == Done()


def test_the_user_starts_with_the_first_of_two_loud_frames_and_stops_with_the_last() -> None:
    talk = Talk()
    talk.run(QUIET, PAD, QUIET, 10)
    events = talk.run(SPEECH, PAD, QUIET, 10)
    assert floors(events) == [("user_starts", 800)]
    events = talk.run(QUIET, PAD, QUIET, STOP_FRAMES)
    assert floors(events) == [("user_stops", 1600)]


def test_a_click_is_no_speech() -> None:
    talk = Talk()
    assert [talk.frame(SPEECH if i % 3 else QUIET, PAD, QUIET) for i in (0, 1, 3, 4, 6)] == [[]] * 5


def test_a_line_that_hums_evenly_is_at_rest_after_a_while_and_speech_stands_out_of_it() -> None:
    talk = Talk()
    hum = sound(400)
    talk.run(hum, PAD, QUIET, 400)
    assert floors(talk.run(hum, PAD, QUIET, 20)) == []
    assert floors(talk.run(SPEECH, PAD, QUIET, 2)) == [("user_starts", 33600)]


def test_a_model_that_falls_silent_because_the_user_speaks_yields() -> None:
    talk = Talk()
    talk.run(QUIET, PAD, QUIET, 5)
    talk.run(QUIET, HELLO, SPEECH, 5)
    events = talk.run(SPEECH, HELLO, SPEECH, 3)
    assert floors(events) == [("user_starts", 800)]
    events = talk.run(SPEECH, PAD, QUIET, YIELD_FRAMES)
    assert floors(events) == [("yields", talk.at_ms)]
    assert not any(isinstance(event, Done) for event in events)
    assert not talk.floor.is_replying


def test_a_model_that_talks_on_while_the_user_speaks_does_not_yield() -> None:
    talk = Talk()
    talk.run(QUIET, HELLO, SPEECH, 5)
    events = talk.run(SPEECH, HELLO, SPEECH, 20)
    assert [kind for kind, _ in floors(events)] == ["user_starts"]
    assert talk.floor.is_replying


def test_each_reply_has_one_beginning_and_one_end_and_counts_what_it_heard_since_the_last() -> None:
    talk = Talk(window=30)
    events: list[LiveEvent] = []
    for _ in range(3):
        events += talk.run(QUIET, PAD, QUIET, 10)
        events += talk.run(QUIET, HELLO, SPEECH, 2)
        events += talk.run(QUIET, PAD, QUIET, DONE_FRAMES)
    kinds = [type(e).__name__ for e in events if not isinstance(e, Say)]
    assert kinds == ["Floor", "Began", "Done"] * 3
    began = [event for event in events if isinstance(event, Began)]
    assert began == [
        Began({"audio": 11}, {"audio": 0}),
        Began({"audio": 30}, {"audio": 10}),
        Began({"audio": 30}, {"audio": 10}),
    ]


def test_every_frame_of_a_reply_is_a_token() -> None:
    talk = Talk()
    talk.frame(QUIET, END, SPEECH)
    events = talk.run(QUIET, HELLO, SPEECH, 4) + talk.run(QUIET, PAD, QUIET, DONE_FRAMES)
    says = [event for event in events if isinstance(event, Say)]
    assert sum(say.tokens for say in says) == 5 + DONE_FRAMES
    assert sum(len(say.pcm) for say in says) == (5 + DONE_FRAMES) * FRAME_BYTES
