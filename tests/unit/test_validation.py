"""Numbers that are checked: infinity is none of them unless it is allowed by name."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from skhand._validation import check_number
from skhand.datasets import load_mpii_nzsl, make_hands
from skhand.exceptions import InputError
from skhand.geometry import recover_scale
from skhand.metrics import PROTOCOLS, evaluate_predictions, pck, pckh
from skhand.preprocessing import warp_images


@pytest.mark.parametrize("value", [0, 2.5, 10**400, np.float32(3), np.int64(4), Fraction(1, 3)])
def test_numbers_come_back_as_they_are(value):
    assert check_number(value, "x", low=0) is value


@pytest.mark.parametrize("value", [np.inf, float("inf"), np.float32("inf")])
def test_infinity_is_refused_unless_it_is_allowed(value):
    with pytest.raises(InputError, match="x: expected a finite number > 0, got .*inf"):
        check_number(value, "x", low=0, include_low=False)
    with pytest.raises(InputError, match="x: expected a finite number, got -inf"):
        check_number(-float(value), "x")
    assert check_number(value, "x", low=0, include_low=False, allow_infinity=True) == np.inf
    with pytest.raises(InputError, match="x: expected a finite number <= 9"):
        check_number(value, "x", high=9, allow_infinity=True)


@pytest.mark.parametrize("value", [np.nan, True, "1", None, [1]])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(InputError, match="x: expected a number, got"):
        check_number(value, "x", allow_infinity=True)


HANDS = np.arange(2 * 63.0).reshape(2, 21, 3)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda tmp_path: pck(HANDS, HANDS, np.inf), "threshold"),
        (lambda tmp_path: pckh(HANDS, HANDS, np.inf), "head_size"),
        (
            lambda tmp_path: evaluate_predictions(
                HANDS, HANDS, protocol="iqbal2018_do", mean_bones=np.full(20, np.inf)
            ),
            "mean_bones",
        ),
        (lambda tmp_path: recover_scale(HANDS, np.full(20, np.inf)), "mean_bones"),
        (lambda tmp_path: warp_images(np.zeros((1, 4, 4, 1)), np.diag([np.inf, 1, 1]), 4), "affine"),
        (lambda tmp_path: type(PROTOCOLS["nyu14"])("a", "b", "c", ("wrist",), (), pck=(np.inf,)), "pck"),
        (lambda tmp_path: make_hands(1, gestures={"fist": np.inf}), r"gestures\['fist'\]"),
        (lambda tmp_path: load_mpii_nzsl(tmp_path, margin=np.inf), "margin"),
    ],
)
def test_infinite_arguments_are_named(tmp_path, call, name):
    with pytest.raises(InputError, match=f"^{name}: expected"):
        call(tmp_path)
