"""The real thing: the `small` profile from the registry, or from the store if it is filled."""

import os
from pathlib import Path

import pytest

from duologue.models import Store, profile, pull, resolve


@pytest.mark.weights
@pytest.mark.timeout(600)
def test_the_small_profile_is_what_the_catalogue_says():
    directory = os.environ.get("DUOLOGUE_MODELS_DIR")
    store = Store(Path(directory) if directory else None)
    pull(["small"], store)
    for name in profile("small").models:
        store.verify(store.entry(name), fresh=True)
        assert resolve(name, store).exists()
