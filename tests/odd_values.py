"""Values that no argument, or next to none, may have."""

from __future__ import annotations

import numpy as np

ODD = [
    *(None, "abc", "", -1, 0, np.nan, np.inf, [], {}, object(), 3.5, True, 10**30),
    *([[1], [2, 3]], np.array([1.0, 2.0])),
]
