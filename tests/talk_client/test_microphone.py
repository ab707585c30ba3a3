from duologue.talk_client.microphone import Speaker
from talk_client.signals import silence, tone


def test_the_speaker_plays_what_came_and_then_silence() -> None:
    speaker = Speaker()
    speaker.add("item_1", tone(30))
    assert speaker.take(len(tone(20))) + speaker.take(len(tone(20))) == tone(30) + silence(10)


def test_an_interruption_tells_what_was_really_heard() -> None:
    speaker = Speaker()
    speaker.add("item_1", tone(500))
    speaker.take(len(tone(200)))
    assert speaker.stop(latency_s=0.05) == ("item_1", 150)
    assert speaker.take(4) == bytes(4)


def test_an_answer_that_was_heard_to_its_end_is_not_cut() -> None:
    speaker = Speaker()
    speaker.add("item_1", tone(100))
    speaker.take(len(tone(100)))
    assert speaker.stop(latency_s=0.0) is None


def test_a_second_answer_is_counted_from_its_own_beginning() -> None:
    speaker = Speaker()
    speaker.add("item_1", tone(100))
    speaker.take(len(tone(60)))
    speaker.add("item_2", tone(300))
    speaker.take(len(tone(100)))
    assert speaker.stop(latency_s=0.0) == ("item_2", 60)
