"""Every fault test draws its moments from one seed, which a failure shows; LINLI_FAULT_SEED repeats it."""

import os
import random
import secrets

import pytest


@pytest.fixture
def chance() -> random.Random:
    seed = int(os.environ.get("LINLI_FAULT_SEED") or secrets.randbelow(1_000_000))
    print(f"LINLI_FAULT_SEED={seed}")
    return random.Random(seed)
