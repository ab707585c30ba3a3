"""What several upstreams have in common: a talk may go to any of them, so no more is promised.

Each is asked what it is; their traits come in, those that hold for all go out. They must be of one
kind: a session that takes turns is another than one whose model does.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, structs

from duologue.engines.realtime.upstream import OPEN_TRAITS, Told, Upstream
from duologue.errors import ConfigFault
from duologue.runtime.ports import Traits

logger = logging.getLogger(__name__)


class Common(Struct, frozen=True):
    """What upstreams are. `away` could not be asked; `aligned`: all others are duologues.

    `own`: what each of these is by itself.
    """

    traits: Traits
    aligned: bool
    away: tuple[Upstream, ...] = ()
    own: Mapping[Upstream, Traits] = {}


async def common_traits(
    upstreams: Sequence[Upstream], unsaid: Traits = OPEN_TRAITS, *, late_s: float | None = None
) -> Common:
    """What all upstreams are that say so; `unsaid` are the traits of one that does not.

    One that is away, or has not answered after `late_s`, is taken for one like the others.

    Raises `ConfigFault` where they are not of one kind or have no voice in common.
    """
    told = await asyncio.gather(*(_told(upstream, late_s) for upstream in upstreams))
    _check_kinds(upstreams, told)
    pairs = list(zip(upstreams, told, strict=True))
    present = [one for one in told if not one.is_away]
    away = tuple(upstream for upstream, one in pairs if one.is_away)
    own = {upstream: one.traits for upstream, one in pairs if one.is_duologue}
    known = list(own.values())
    if not known:
        duplex = any(upstream.duplex for upstream in upstreams)
        if duplex:
            # More than that is borne out by its sessions, see `capabilities`.
            unsaid = structs.replace(unsaid, duplex=True, rewinds=False)
        return Common(unsaid, False, away)
    traits = intersection(known)
    aligned = len(known) == len(present)
    if not aligned:
        traits = structs.replace(
            traits,
            hears=traits.hears and unsaid.hears,
            speaks=traits.speaks and unsaid.speaks,
            tools=traits.tools and unsaid.tools,
            # Whether the others look at images is not known, unless they take none.
            sees=traits.sees and unsaid.reads_images,
            reads_images=traits.reads_images and unsaid.reads_images,
        )
    return Common(traits, aligned, away, own)


async def _told(upstream: Upstream, late_s: float | None) -> Told:
    try:
        async with asyncio.timeout(late_s):
            return await upstream.traits()
    except TimeoutError:
        logger.warning("upstream %s does not tell in time what it is", upstream.name)
        return Told(is_away=True)


def _check_kinds(upstreams: Sequence[Upstream], told: Sequence[Told]) -> None:
    kinds: dict[str, str] = {}
    for upstream, one in zip(upstreams, told, strict=True):
        if one.is_duologue:
            kind = "full-duplex" if one.traits.duplex else "not full-duplex"
        elif upstream.duplex:
            kind = "full-duplex as vLLM-Omni is"
        elif one.is_away:
            continue  # it will be asked again
        else:
            kind = "not full-duplex"
        kinds.setdefault(kind, upstream.name)
    if len(kinds) > 1:
        each = ", ".join(f"{name} is {kind}" for kind, name in kinds.items())
        raise ConfigFault(f"upstream: the servers must be of one kind, but {each}")


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
