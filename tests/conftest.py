from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)  # two threads waiting for each other on a busy machine slow tiny models tenfold
# The machine is shared: a slow example is no failure; the same examples at every run.
settings.register_profile("lvm", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("lvm")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The run of the whole pipeline first: it takes longest, and the other tests fit beside it."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
