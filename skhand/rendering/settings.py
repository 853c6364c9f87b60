"""Settings of generated hands, and their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from skhand._device import resolve_device
from skhand._validation import check_camera, check_number, check_option, describe, read_numbers
from skhand.exceptions import InputError
from skhand.rendering.gestures import GESTURES

__all__ = ["MOST_SUBJECTS", "SENSORS", "Settings", "check_settings"]

MOST_SUBJECTS = 2**20
"""From here on the numbers of people stand for those of the real domain."""
SENSORS = ("structured_light", "time_of_flight", "lossy")
_THICKNESS = {"synthetic": (1.0, 1.0, 1.0), "real": (1.08, 1.04, 1.05)}
"""The real domain's hands are other people's, and thicker."""
_SHARES = ("sleeves", "occluders", "motion", "strange")


@dataclass(frozen=True)
class Settings:
    """Checked arguments of `make_hands` that decide how rows are made; see there.

    Attributes
    ----------
    gestures : tuple of float or None
        A weight for each of `GESTURES`.
    thickness : tuple of three float
        Factors on the radii of fingers, palm and forearm.
    backgrounds : tuple of str or {"procedural"} or None
        Names of picture files.
    """

    image_size: int
    n_subjects: int
    side: str
    rotation: float
    gestures: tuple[float, ...] | None
    distance: tuple[float, float]
    framing: Any
    shape: float
    thickness: tuple[float, float, float]
    skin: tuple[float, float]
    sleeves: float
    light: tuple[float, float]
    backgrounds: Any
    occluders: float
    blur: float
    noise: float
    motion: float
    jpeg: tuple[float, float] | None
    strange: float
    domain: str
    sensor: str
    device: str


def check_settings(**given: Any) -> Settings:
    """Check every argument; an `InputError` names the first that is out of its range.

    ``backgrounds`` is taken as it is: a tuple of file names, "procedural" or None.
    """
    check_number(given["image_size"], "image_size", integer=True, low=16, high=10_000)
    check_number(given["n_subjects"], "n_subjects", integer=True, low=1, high=MOST_SUBJECTS)
    check_option(given["side"], "side", ("both", "left", "right"))
    check_number(given["rotation"], "rotation", low=0.0, high=180.0)
    for name in _SHARES:
        check_number(given[name], name, low=0.0, high=1.0)
    for name in ("shape", "blur", "noise"):
        check_number(given[name], name, low=0.0, high=3.0)
    check_option(given["domain"], "domain", ("synthetic", "real"))
    check_option(given["sensor"], "sensor", SENSORS)
    return Settings(
        **{
            **given,
            "image_size": int(given["image_size"]),
            "n_subjects": int(given["n_subjects"]),
            "gestures": _check_gestures(given["gestures"]),
            "distance": _check_range(given["distance"], "distance", 200.0, 5000.0),
            "framing": _check_framing(given["framing"]),
            "thickness": _check_thickness(given["thickness"], given["domain"]),
            "skin": _check_range(given["skin"], "skin", 0.0, 1.0),
            "light": _check_range(given["light"], "light", 0.0, 3.0),
            "jpeg": None if given["jpeg"] is None else _check_range(given["jpeg"], "jpeg", 1, 100),
            "device": str(resolve_device(given["device"])),
        }
    )


def _check_range(value: Any, name: str, low: float, high: float) -> tuple[float, float]:
    several = isinstance(value, Sequence) or (isinstance(value, np.ndarray) and value.ndim == 1)
    pair = tuple(value) if several and not isinstance(value, str) else ()
    if len(pair) != 2:
        raise InputError(f"{name}: expected two numbers (low, high), got {value!r}.")
    for number in pair:
        check_number(number, name, low=low, high=high)
    if pair[0] > pair[1]:
        raise InputError(f"{name}: expected the lower bound first, got {value!r}.")
    return float(pair[0]), float(pair[1])


def _check_thickness(value: Any, domain: str) -> tuple[float, float, float]:
    """Return the factors on fingers, palm and forearm; None is the domain's own."""
    if value is None:
        return _THICKNESS[domain]
    factors = read_numbers(value, "thickness")
    if factors.shape not in ((), (3,)):
        raise InputError(
            f"thickness: expected a number, or three (fingers, palm, forearm), got {describe(value)}."
        )
    for factor in np.atleast_1d(factors).tolist():
        check_number(factor, "thickness", low=0.5, high=1.5)
    fingers, palm, forearm = np.broadcast_to(factors, 3).tolist()
    return float(fingers), float(palm), float(forearm)


def _check_gestures(gestures: Any) -> tuple[float, ...] | None:
    """Return a weight for each gesture; None where the user left them alone."""
    if gestures is None:
        return None
    if isinstance(gestures, str):
        gestures = (gestures,)
    if not np.iterable(gestures):
        raise InputError(f"gestures: expected a name, names, or a dict of weights, got {describe(gestures)}.")
    pairs = gestures.items() if isinstance(gestures, Mapping) else ((name, 1.0) for name in gestures)
    weights = {check_option(name, "gestures", GESTURES): weight for name, weight in pairs}
    for name, weight in weights.items():
        check_number(weight, f"gestures[{name!r}]", low=0.0)
    if not sum(weights.values()) > 0 or not np.isfinite(sum(weights.values())):
        raise InputError(f"gestures: expected finite weights with a sum above 0, got {gestures!r}.")
    return tuple(float(weights.get(name, 0.0)) for name in GESTURES)


def _check_framing(framing: Any) -> Any:
    """Return (low, high), a width in mm, or intrinsics as a tuple of tuples."""
    if isinstance(framing, int | float | np.number):
        return float(check_number(framing, "framing", low=50.0, high=5000.0))
    array = read_numbers(framing, "framing").astype(np.float64)
    if array.shape == (2,):
        return _check_range(tuple(array.tolist()), "framing", 0.5, 20.0)
    if array.shape == (3, 3):
        camera = check_camera(array, "framing")
        if camera[0, 1] != 0 or camera[1, 0] != 0 or not (np.diag(camera) > 0).all():
            raise InputError(
                f"framing: expected intrinsics without skew and mirror, got {describe(framing)}."
            )
        return tuple(map(tuple, camera.tolist()))
    raise InputError(
        "framing: expected (low, high) times the hand's width, a width in mm, or a (3, 3) matrix of "
        f"intrinsics in px; got {describe(framing)}."
    )
