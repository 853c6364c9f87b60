"""Every load of a damaged copy is refused with the file's name, or gives the table of the whole copy.

What no format tells is not asked for: a digit that became another digit, a byte of a JPEG, of an uncompressed
MATLAB file or of a pickle that is still a number. Such a file must be refused or loaded, without a raw error.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hostile.corrupt_files import list_variants, read_all, try_variant
from hostile.data_copies import SETS

SAMPLE = 30  # variants of each data set, beside those that are always tried


@pytest.fixture
def folder():
    """A folder that every user may look into, which pytest's own are not."""
    path = Path(tempfile.mkdtemp(prefix="skhand-corrupt-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


def sweep(data, folder, n_sampled):
    """Load the variants, all or some of them; return how many they were and what went wrong."""
    data.write(folder)
    whole = read_all(data.load(folder))
    variants = list_variants(data, folder)
    if n_sampled is not None:
        picked = np.random.default_rng(0).permutation(len(variants))[:n_sampled]
        variants = [variant for i, variant in enumerate(variants) if variant.always or i in picked]
    wrong = []
    for variant in variants:
        outcome = try_variant(data, folder, variant, whole)
        if outcome:
            wrong.append(f"{variant.path}, {variant.what}: {outcome}")
    assert not try_variant(data, folder, variants[1], whole)  # the copy is whole again
    return len(variants), wrong


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data", SETS, ids=lambda data: data.name)
def test_a_sample_of_damaged_files(data, folder):
    _, wrong = sweep(data, folder, SAMPLE)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("data", SETS, ids=lambda data: data.name)
def test_all_damaged_files(data, folder):
    n_loads, wrong = sweep(data, folder, None)
    print(f"{data.name}: {n_loads} loads, {len(wrong)} wrong")
    assert not wrong, "\n".join(wrong)
