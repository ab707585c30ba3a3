"""How much memory there is, and the words in which it runs out."""

import pytest

from duologue.engines.moshi.memory import free_bytes, free_memory, is_of_memory


@pytest.mark.parametrize(
    ("error", "is_it"),
    [
        (MemoryError(), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
    ],
)
def test_an_error_of_memory_is_known_by_its_words(error: Exception, is_it: bool) -> None:
    assert is_of_memory(error) is is_it


def test_memory_that_is_free_is_that_of_this_machine() -> None:
    free_memory()
    free = free_bytes("cpu")
    assert free is None or 10_000_000 < free < 10**15
