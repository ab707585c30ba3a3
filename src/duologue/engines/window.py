"""What of a history fits into a model's window: items in, those that a reply is made from out.

Dropping is for good as far as the model is concerned: what was dropped once stays dropped, so
that the prompts of the following turns begin alike and the cache serves them. A call whose
result is kept is kept beside it, however old it is. Nothing is deleted from the conversation.
"""

from collections.abc import Callable, Sequence, Set

from duologue.core.talk import Item, Truncation
from duologue.errors import EngineFault

OWN_SHARE = 0.5
"""Left of a full history where the client leaves that to the engine: every cut makes the model
read all that is kept anew, so cuts should be rare."""


class Window:
    """The cut through one conversation's history. `fit` moves it, and only forward."""

    def __init__(self, dropped: frozenset[str] = frozenset()) -> None:
        self._dropped = dropped

    @property
    def dropped(self) -> Set[str]:
        """The ids of the items that no reply will be made from any more."""
        return self._dropped

    def copy(self) -> "Window":
        """The same cut for a reply that leaves no trace."""
        return Window(self._dropped)

    def forget(self, item_id: str) -> None:
        """An item was deleted: another may have its id."""
        self._dropped -= {item_id}

    def fit(
        self,
        items: Sequence[Item],
        room_tokens: int,
        truncation: Truncation,
        size: Callable[[Item], int],
    ) -> list[Item]:
        """The items to answer from, at most `room_tokens` of them by `size`.

        The newest item is always among them. Raises `EngineFault` with the code
        `context_length_exceeded` when it alone is too large, or when something would have to
        be dropped and may not be.
        """
        limit = room_tokens
        if truncation.limit_tokens is not None:
            limit = min(limit, truncation.limit_tokens)
        share = OWN_SHARE if truncation.kept_share is None else truncation.kept_share
        kept = self._kept(items)
        start, newest = _start(kept, limit, limit * share, size)
        if newest > room_tokens or (start and not truncation.allowed):
            raise too_long(
                f"the conversation is longer than the {max(0, limit)} tokens that the model's "
                "context has for it"
            )
        if not start:
            return kept
        self._dropped |= {item.id for item in kept[:start]}
        return self._kept(items)

    def _kept(self, items: Sequence[Item]) -> list[Item]:
        dropped = self._dropped
        results = {i.call_id for i in items if i.role == "result" and i.id not in dropped}
        return [
            item
            for item in items
            if item.id not in dropped or (item.call and item.call.call_id in results)
        ]


def newest(items: Sequence[Item], most: int) -> Sequence[Item]:
    """The last `most` items and the calls that their results answer.

    For a history of thousands of items, of which the window could never hold more than `most`.
    """
    if len(items) <= most:
        return items
    tail = items[-most:]
    calls = {item.call.call_id for item in tail if item.call}
    wanted = {item.call_id for item in tail if item.role == "result"} - calls
    if not wanted:
        return tail
    return [*(i for i in items[:-most] if i.call and i.call.call_id in wanted), *tail]


def too_long(message: str) -> EngineFault:
    """The fault of a prompt that does not fit."""
    return EngineFault(message, "context_length_exceeded")


def _start(
    items: Sequence[Item], limit: float, target: float, size: Callable[[Item], int]
) -> tuple[int, int]:
    """Where to cut, 0 for not at all, and the size of the newest item with its call.

    Goes from the newest item back and stops at the first that is too much: older ones need not
    be measured.
    """
    calls = {item.call.call_id: item for item in items if item.call}
    counted: set[str] = set()
    total = newest_size = 0
    start = len(items)
    for index in range(len(items) - 1, -1, -1):
        item = items[index]
        call = item if item.call else calls.get(item.call_id or "")
        if item is not call:
            total += size(item)
        if call is not None and call.id not in counted:
            counted.add(call.id)
            total += size(call)
        if index == len(items) - 1:
            newest_size = total
        if total > limit:
            return min(start, len(items) - 1), newest_size
        if total <= target:
            start = index
    return 0, newest_size
