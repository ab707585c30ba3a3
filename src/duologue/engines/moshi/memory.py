"""Memory for a model: how much there is, whether it ran out, and giving it back.

Torch is not imported here, so that the engine's own tests need none; where it is loaded, its
memory counts.
"""

import gc
import sys
from pathlib import Path

GB = 1_000_000_000

MEMINFO = Path("/proc/meminfo")
COUNTED = ("MemAvailable", "SwapFree")


def is_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. Torch has an error of its own for a GPU's, and none for the CPU's."""
    told = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in told or "allocate memory" in told


def free_memory() -> None:
    """Give back what a model that is gone has held; torch keeps a GPU's memory for itself."""
    gc.collect()
    if (torch := sys.modules.get("torch")) is not None:
        torch.cuda.empty_cache()


def free_bytes(device: str) -> int | None:
    """Memory that is free on "cpu" or "cuda"; None where nobody tells."""
    if device == "cuda":
        free: int = sys.modules["torch"].cuda.mem_get_info()[0]
        return free
    try:
        told = dict(line.split(":", 1) for line in MEMINFO.read_text("ascii").splitlines())
        return sum(int(told[name].split()[0]) for name in COUNTED) * 1024
    except (OSError, ValueError, KeyError):
        return None  # no Linux
