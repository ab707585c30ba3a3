"""The outbox: one connection after the other, nothing lost between them, all of it bounded."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from duologue.core.settings import SessionConfig, Settings
from duologue.events import (
    AudioPcmu,
    ConversationItemDeleted,
    Response,
    ResponseAudio,
    ResponseAudioOutput,
    ResponseCreated,
    ResponseOutputAudioDelta,
    ServerEvent,
    SessionCreated,
    SessionUpdated,
)
from duologue.events.weight import weight_of
from duologue.runtime.outbox import Outbox
from waiting import started


def created(number: int) -> SessionCreated:
    session = Settings(SessionConfig(id="sess_1", model="m")).session
    return SessionCreated(event_id=f"created{number}", session=session)


def event(name: str) -> ServerEvent:
    return ConversationItemDeleted(event_id=name, item_id="i")


def sound(name: str, size: int = 1000) -> ServerEvent:
    return ResponseOutputAudioDelta(
        event_id=name,
        response_id="resp",
        item_id="i",
        output_index=0,
        content_index=0,
        delta=bytes(size),
    )


def begun(log_bytes: int = 1_000_000, limit_bytes: int = 1_000_000) -> Outbox:
    outbox = Outbox(limit_bytes, log_bytes=log_bytes)
    outbox.begin(created(0))
    return outbox


async def taken(outbox: Outbox, count: int) -> list[str]:
    """The ids of the next events."""
    got = [await outbox.get() for _ in range(count)]
    return [event.event_id if event else "none" for event in got]


async def test_nothing_leaves_before_the_connection_has_begun() -> None:
    outbox = Outbox(1000)
    outbox.put(event("a"))
    reader = await started(taken(outbox, 2))
    assert not reader.done()
    outbox.begin(created(0))
    assert await reader == ["created0", "a"]


async def test_a_reader_is_sent_home_when_its_connection_is_gone() -> None:
    outbox = begun()
    assert await taken(outbox, 1) == ["created0"]
    reader = await started(outbox.get())
    outbox.hang_up()
    assert await reader is None


async def test_what_waits_and_what_may_not_have_left_goes_to_the_next_connection() -> None:
    outbox = begun()
    for name in "abc":
        outbox.put(event(name))
    assert await taken(outbox, 2) == ["created0", "a"]  # "a" may still be on its way out
    outbox.hang_up()
    outbox.put(event("d"))
    outbox.rewind(None)
    outbox.begin(created(1))
    assert await taken(outbox, 5) == ["created1", "a", "b", "c", "d"]


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 3))
def test_after_the_event_a_client_names_all_others_come_once(
    sent: int, seen: int, while_gone: int
) -> None:
    async def play() -> None:
        outbox = begun()
        names = [f"e{n}" for n in range(6)]
        for name in names:
            outbox.put(event(name))
        await taken(outbox, 1 + sent)
        seen_now = min(seen, sent)
        after = "created0" if seen_now == 0 else names[seen_now - 1]
        assert outbox.reaches(after)
        outbox.hang_up()
        later = [f"l{n}" for n in range(while_gone)]
        for name in later:
            outbox.put(event(name))
        outbox.rewind(after)
        outbox.begin(created(1))
        rest = names[seen_now:] + later
        assert await taken(outbox, 1 + len(rest)) == ["created1", *rest]
        # and once more, from the middle
        after = rest[len(rest) // 2] if rest else "created1"
        assert outbox.reaches(after)
        outbox.hang_up()
        outbox.rewind(after)
        outbox.begin(created(2))
        rest = rest[len(rest) // 2 + 1 :]
        assert await taken(outbox, 1 + len(rest)) == ["created2", *rest]
        outbox.end()
        assert await outbox.get() is None

    asyncio.run(play())


async def test_the_log_forgets_the_oldest_and_says_so() -> None:
    outbox = begun(log_bytes=3 * weight_of(event("a")))
    for name in "abcdef":
        outbox.put(event(name))
    await taken(outbox, 7)
    assert not outbox.reaches("a") and not outbox.reaches("x")
    assert outbox.reaches("c") and outbox.reaches("f") and outbox.reaches(None)


def told(number: int, characters: int) -> ServerEvent:
    session = Settings(SessionConfig(id="sess_1", model="m")).session
    session = structs.replace(session, instructions=str(number) * characters)
    return SessionUpdated(event_id=f"u{number}", session=session)


async def test_what_a_client_is_told_counts_with_all_its_text() -> None:
    outbox = begun(limit_bytes=1_000_000)
    assert await taken(outbox, 1) == ["created0"]
    taken_in = [outbox.put(told(number, 300_000)) for number in range(5)]
    assert taken_in == [True, True, True, False, False]
    assert await taken(outbox, 3) == ["u0", "u1", "u2"]
    assert outbox.put(told(5, 300_000))


async def test_one_event_fits_however_large_it_is() -> None:
    outbox = begun(limit_bytes=10_000)
    await taken(outbox, 1)
    assert outbox.put(told(0, 100_000)) and not outbox.put(event("a"))
    assert await taken(outbox, 1) == ["u0"]
    assert outbox.put(event("b")) and not outbox.put(told(1, 100_000))


async def test_the_log_is_bounded_by_the_text_it_holds() -> None:
    outbox = begun(log_bytes=500_000, limit_bytes=10_000_000)
    for number in range(5):
        outbox.put(told(number, 200_000))
    outbox.put(event("a"))
    await taken(outbox, 7)
    assert not outbox.reaches("u2") and outbox.reaches("u3")


async def test_without_a_log_nothing_is_kept() -> None:
    outbox = begun(log_bytes=0)
    outbox.put(event("a"))
    await taken(outbox, 2)
    assert not outbox.reaches("a") and not outbox.reaches("created0")


async def test_sound_of_an_interrupted_response_is_not_sent_again() -> None:
    outbox = begun()
    for one in (event("a"), sound("s1"), sound("s2"), event("b"), sound("s3")):
        outbox.put(one)
    assert await taken(outbox, 4) == ["created0", "a", "s1", "s2"]
    outbox.hang_up()
    outbox.drop_audio("resp")
    assert outbox.reaches("s1")
    outbox.rewind("s1")
    outbox.begin(created(1))
    assert await taken(outbox, 2) == ["created1", "b"]
    outbox.end()
    assert await outbox.get() is None


async def test_bytes_are_counted_right_through_it_all() -> None:
    outbox = begun(limit_bytes=10_000)
    for _ in range(50):
        assert outbox.put(sound("s", 8000))
        assert not outbox.put(sound("t", 8000))
        await taken(outbox, 2)
        outbox.hang_up()
        outbox.rewind(None)
        outbox.drop_audio("resp")
        outbox.begin(created(1))
    assert outbox.put(sound("u", 8000))


async def test_an_outbox_that_has_ended_begins_no_more() -> None:
    outbox = Outbox(1000)
    outbox.end(discard=True)
    outbox.begin(created(0))
    assert await outbox.get() is None


def telephone(number: int) -> SessionCreated:
    """A session that speaks mu-law."""
    shown = created(number)
    output = structs.replace(shown.session.audio.output, format=AudioPcmu())
    audio = structs.replace(shown.session.audio, output=output)
    return structs.replace(shown, session=structs.replace(shown.session, audio=audio))


def spoken_over_the_telephone() -> ServerEvent:
    output = ResponseAudioOutput(format=AudioPcmu(), voice="alloy")
    response = Response(
        id="resp",
        status="in_progress",
        conversation_id="conv",
        output_modalities=("audio",),
        max_output_tokens="inf",
        audio=ResponseAudio(output=output),
    )
    return ResponseCreated(event_id="response", response=response)


async def test_what_is_sent_again_is_not_converted_again() -> None:
    outbox = Outbox(1_000_000, log_bytes=1_000_000)
    outbox.begin(telephone(0))
    for entry in (spoken_over_the_telephone(), sound("a", 48_000), sound("b", 48_000)):
        outbox.put(entry)
    first = [await outbox.get() for _ in range(4)]
    outbox.hang_up()
    outbox.rewind("response")
    outbox.begin(telephone(1))
    again = [await outbox.get() for _ in range(3)]
    assert again[1:] == first[2:]
    assert [len(e.delta) for e in again[1:] if isinstance(e, ResponseOutputAudioDelta)] == [
        8000
    ] * 2


async def test_what_was_being_converted_when_the_connection_went_keeps_its_place() -> None:
    """A second of sound is converted in a thread, so the reader is still at it."""
    outbox = Outbox(1_000_000, log_bytes=1_000_000)
    outbox.begin(telephone(0))
    for entry in (spoken_over_the_telephone(), sound("a", 48_000), sound("b", 48_000), event("c")):
        outbox.put(entry)
    assert await taken(outbox, 2) == ["created0", "response"]
    reader = await started(outbox.get())  # it has taken the sound and waits for the thread
    outbox.hang_up()
    outbox.rewind("created0")
    outbox.begin(telephone(1))
    assert await taken(outbox, 5) == ["created1", "response", "a", "b", "c"]
    assert await reader is None


async def test_who_listens_is_told_of_a_batch_and_takes_what_is_light() -> None:
    outbox = begun()
    got: list[str] = []

    def take() -> None:
        while (event := outbox.take_now(1600)) is not None:
            got.append(event.event_id)

    assert outbox.take_now(1_000_000) is not None  # session.created
    outbox.listen(take)
    outbox.flush()
    outbox.put(event("a"))
    outbox.put(sound("b"))
    assert got == []
    outbox.flush()
    assert got == ["a", "b"]
    reader = asyncio.ensure_future(taken(outbox, 2))
    await asyncio.sleep(0)
    for heavy in (event("c"), sound("d", 2000), event("e")):
        outbox.put(heavy)
    outbox.flush()
    assert got == ["a", "b", "c"]
    assert await reader == ["d", "e"]
    outbox.hang_up()  # nobody listens any more, and what was sent is known
    outbox.rewind("b")
    outbox.begin(created(1))
    outbox.put(event("f"))
    outbox.flush()
    assert await taken(outbox, 5) == ["created1", "c", "d", "e", "f"]
    assert got == ["a", "b", "c"]


async def test_nothing_is_taken_at_once_past_what_is_sent_again() -> None:
    outbox = begun()
    outbox.put(event("a"))
    assert await taken(outbox, 2) == ["created0", "a"]
    outbox.hang_up()
    outbox.rewind("created0")
    outbox.put(event("b"))
    outbox.begin(created(1))
    assert outbox.take_now(1_000_000) is None
    assert await taken(outbox, 3) == ["created1", "a", "b"]
