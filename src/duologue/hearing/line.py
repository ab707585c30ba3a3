"""The line before the speech model: who may run next, and how many at a time.

What a reply waits for has places of its own, so nothing that is done for the client alone
can stand in its way: all of that shares one more place, hypotheses on growing sound last,
and those not at all while a reply waits or is being heard. First come, first served within
each.
"""

import asyncio
from enum import IntEnum
from itertools import count


class Precedence(IntEnum):
    """Who is waiting: a reply, the client for a transcript, nobody yet."""

    REPLY = 0
    TRANSCRIPT = 1
    PARTIAL = 2


class Ticket:
    """One wait for a place; `precedence` may be raised while it lasts."""

    def __init__(self, precedence: Precedence) -> None:
        self.precedence = precedence
        self.is_aside = False
        self.turn: asyncio.Future[None] | None = None


class Line:
    """`places` for replies, and one aside."""

    def __init__(self, places: int) -> None:
        self._free = places
        self._replies_running = 0
        self._aside_free = True
        self._numbers = count()
        self._waiting: dict[Ticket, int] = {}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def enter(self, ticket: Ticket) -> None:
        """Wait for a place; it must be given back by `leave`."""
        ticket.turn = asyncio.get_running_loop().create_future()
        self._waiting[ticket] = next(self._numbers)
        self._move()
        try:
            await ticket.turn
        except asyncio.CancelledError:
            if self._waiting.pop(ticket, None) is None and not ticket.turn.cancelled():
                self.leave(ticket)  # its turn had come in the same moment
            raise

    def leave(self, ticket: Ticket) -> None:
        """Give a place back."""
        if ticket.is_aside:
            self._aside_free = True
        else:
            self._free += 1
            self._replies_running -= 1
        self._move()

    def hurry(self, ticket: Ticket, precedence: Precedence) -> None:
        """Somebody more urgent waits for the same."""
        if precedence < ticket.precedence:
            ticket.precedence = precedence
            self._move()

    def _move(self) -> None:
        for ticket in sorted(self._waiting, key=lambda t: (t.precedence, self._waiting[t])):
            assert ticket.turn
            if ticket.turn.done():
                continue  # cancelled, and about to say so
            is_aside = ticket.precedence is not Precedence.REPLY
            if is_aside and not self._may_stand_aside(ticket):
                continue
            if not is_aside and not self._free:
                continue
            ticket.is_aside = is_aside
            if is_aside:
                self._aside_free = False
            else:
                self._free -= 1
                self._replies_running += 1
            del self._waiting[ticket]
            ticket.turn.set_result(None)

    def _may_stand_aside(self, ticket: Ticket) -> bool:
        if not self._aside_free:
            return False
        if ticket.precedence is not Precedence.PARTIAL:
            return True
        replies = any(one.precedence is Precedence.REPLY for one in self._waiting)
        return not replies and not self._replies_running
