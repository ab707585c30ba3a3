"""What several upstreams have in common: a talk may go to any of them, so no more is promised.

Each is asked what it is; their traits come in, those that hold for all go out.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec import structs

from duologue.engines.realtime.upstream import OPEN_TRAITS, Upstream
from duologue.errors import ConfigFault
from duologue.runtime.ports import Traits


async def common_traits(upstreams: Sequence[Upstream]) -> tuple[Traits, bool]:
    """What all upstreams are that say so, and whether each is another duologue.

    Raises `ConfigFault` where they have no voice in common.
    """
    told = await asyncio.gather(*(upstream.traits() for upstream in upstreams))
    known = [traits for traits, is_duologue in told if is_duologue]
    if not known:
        duplex = all(upstream.duplex for upstream in upstreams)
        # What such a model remembers is its own; some can be truncated, not all.
        return structs.replace(OPEN_TRAITS, duplex=duplex, rewinds=not duplex), False
    return intersection(known), len(known) == len(told)


def intersection(traits: Sequence[Traits]) -> Traits:
    """What holds for all. Names stand in the order of the first. Raises `ConfigFault`."""
    fields = Traits.__struct_fields__
    common = Traits(**{name: _common([getattr(one, name) for one in traits]) for name in fields})
    if not common.voices and all(one.voices for one in traits):
        raise ConfigFault("upstream: the servers have no voice in common")
    return common


def _common(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, tuple):
        return tuple(name for name in first if all(name in others for others in values))
    return min(values)  # of truths: whether all are
