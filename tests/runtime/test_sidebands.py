"""Sidebands: one that does not read is cut off by what waits for it, and disturbs nobody."""

from msgspec import structs

from duologue.core.inputs import BadEvent
from duologue.core.settings import SessionConfig, Settings
from duologue.events import SessionCreated, SessionUpdated
from duologue.events.translation import AnyClientEvent
from duologue.runtime.sidebands import WAITING_BYTES, Sidebands

SESSION = Settings(SessionConfig(id="sess_1", model="m")).session


async def receive(event: AnyClientEvent | BadEvent) -> None:
    raise AssertionError("nobody says anything here")


def told(number: int, size: int) -> SessionUpdated:
    session = structs.replace(SESSION, instructions="x" * size)
    return SessionUpdated(event_id=f"u{number}", session=session)


async def test_one_that_does_not_read_is_cut_off_by_the_bytes_that_wait_for_it() -> None:
    sidebands = Sidebands(receive)
    sidebands.put(SessionCreated(event_id="e", session=SESSION))
    deaf, keen = sidebands.attach(), sidebands.attach()
    assert deaf and keen
    for number in range(5):
        sidebands.put(told(number, WAITING_BYTES // 4))
        event = await keen.next_event()
        assert event is not None
    assert deaf.stale and await deaf.next_event() is None
    assert not keen.stale
    last = await keen.next_event()
    assert last is not None and last.event_id == "u4"


async def test_one_event_fits_however_large_it_is() -> None:
    sidebands = Sidebands(receive)
    sidebands.put(SessionCreated(event_id="e", session=SESSION))
    line = sidebands.attach()
    assert line and await line.next_event()
    sidebands.put(told(0, 2 * WAITING_BYTES))
    event = await line.next_event()
    assert event is not None and event.event_id == "u0" and not line.stale


async def test_one_that_listens_takes_what_is_light_as_it_comes_and_reads_the_rest() -> None:
    sidebands = Sidebands(receive)
    sidebands.put(SessionCreated(event_id="e", session=SESSION))
    line = sidebands.attach()
    assert line and await line.next_event()
    taken: list[str] = []

    def take() -> None:
        while (event := line.take_now(20_000)) is not None:
            taken.append(event.event_id)

    line.listen(take)
    sidebands.put(told(0, 10))
    assert taken == ["u0"]
    sidebands.put(told(1, 40_000))
    sidebands.put(told(2, 10))  # not before the one that was too heavy
    assert taken == ["u0"]
    for number in (1, 2):
        event = await line.next_event()
        assert event is not None and event.event_id == f"u{number}"
    sidebands.put(told(3, 10))
    assert taken == ["u0", "u3"]
