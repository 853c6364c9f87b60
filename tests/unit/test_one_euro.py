"""The One-Euro filter against the formulas of the paper, written out number by number."""

from __future__ import annotations

import numpy as np

from skhand.tracking._one_euro import OneEuro


def filtered(values, times, min_cutoff, beta):
    """Casiez et al. 2012, algorithm 1, one number at a time."""

    def alpha(elapsed, cutoff):
        return 1.0 / (1.0 + 1.0 / (2 * np.pi * cutoff) / elapsed)

    out, slope = [values[0]], 0.0
    for k in range(1, len(values)):
        elapsed = times[k] - times[k - 1]
        raw = (values[k] - out[-1]) / elapsed
        slope = alpha(elapsed, 1.0) * raw + (1 - alpha(elapsed, 1.0)) * slope
        share = alpha(elapsed, min_cutoff + beta * abs(slope))
        out.append(share * values[k] + (1 - share) * out[-1])
    return out


def test_each_number_is_filtered_as_in_the_paper(rng):
    values, times = rng.normal(size=(30, 2)).cumsum(axis=0), np.cumsum(rng.uniform(0.01, 0.1, 30))
    unit = np.array([1.0, 4.0])
    euro = OneEuro(1.2, 0.7)
    found = [
        euro(value, elapsed, unit) for value, elapsed in zip(values, np.diff(times, prepend=0), strict=True)
    ]
    for i in range(2):
        expected = filtered(values[:, i], times, 1.2, 0.7 / unit[i])
        np.testing.assert_allclose([value[i] for value in found], expected)
