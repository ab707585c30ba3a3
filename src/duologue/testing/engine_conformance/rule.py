"""One rule: an engine in; out comes nothing, why it cannot be judged, or `Broken`."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from duologue.runtime.ports import Engine
from duologue.testing.engine_conformance.bench import Bench, Broken, Case, settled

Make = Callable[[], Engine | Awaitable[Engine]]
"""Makes the engine to judge; an engine's class will do, and so will a coroutine function."""


class Judge(Protocol):
    """Judges one rule; a coroutine function."""

    __name__: str

    def __call__(self, bench: Bench) -> Awaitable[str | None]: ...


@dataclass(frozen=True)
class Rule:
    """`judge` raises `Broken`, or returns why the rule does not concern this engine."""

    name: str
    judge: Judge

    def __str__(self) -> str:
        return self.name

    def check(self, make: Make, case: Case | None = None) -> str | None:
        """Judge an engine of its own in an event loop of its own."""
        return asyncio.run(self._check(make, case or Case()))

    async def acheck(self, engine: Engine, case: Case | None = None) -> str | None:
        """Judge an engine that is open and stays so, in the running loop."""
        case = case or Case()
        try:
            async with asyncio.timeout(case.patience_s):
                return await self.judge(Bench(engine, case))
        except TimeoutError:
            raise Broken(f"not done within {case.patience_s:g} s") from None
        except Broken:
            raise
        except Exception as fault:
            raise Broken(f"raises {type(fault).__name__}: {fault}") from fault

    async def _check(self, make: Make, case: Case) -> str | None:
        outside = asyncio.all_tasks()
        made = make()
        engine = await made if inspect.isawaitable(made) else made
        try:
            why = await self.acheck(engine, case)
        finally:
            await engine.aclose()
        left = await settled(lambda: asyncio.all_tasks() - outside, case.prompt_s)
        if left:
            raise Broken(f"tasks are left after the engine's aclose: {_names(left)}")
        return why


def rules(*judges: Judge) -> tuple[Rule, ...]:
    """A rule for each judge, named like it."""
    return tuple(Rule(judge.__name__.replace("_", " "), judge) for judge in judges)


def _names(tasks: set[asyncio.Task[object]]) -> str:
    return ", ".join(sorted(task.get_name() for task in tasks))
