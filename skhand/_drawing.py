"""Draw hands into a picture, with Pillow alone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from skhand._pictures import read_pictures
from skhand._validation import check_camera, check_number, check_numbers, describe
from skhand.exceptions import CameraError, InputError
from skhand.geometry import project
from skhand.skeleton import Layout, find_finger, layout_bones, resolve_layout

__all__ = ["FINGER_COLOURS", "PALM_COLOUR", "draw_hand", "joint_colours"]

#: One colour a finger, told apart by colour-blind eyes too (Okabe and Ito 2008).
FINGER_COLOURS = {
    "thumb": "#D55E00",
    "index": "#E69F00",
    "middle": "#009E73",
    "ring": "#0072B2",
    "little": "#CC79A7",
}

#: The colour of joints that are of no finger.
PALM_COLOUR = "#8C8C8C"
_RIM = (0, 0, 0, 150)
_FAR = 1e5  # px
_WIDEST = 1e4  # px
_SCALE = 2  # lines are drawn larger and made smaller again, which smooths them


def joint_colours(layout: Layout) -> list[str]:
    """Return the colour of each joint of a layout, and so of the bone that ends there."""
    return [FINGER_COLOURS.get(find_finger(joint) or "", PALM_COLOUR) for joint in layout.joints]


def draw_hand(
    picture: Any,
    hand: Any,
    camera: Any = None,
    *,
    width: float | None = None,
    colour: Any = None,
    layout: str | Layout = "canonical",
) -> Any:
    """Draw the skeletons of one or more hands into a picture.

    Parameters
    ----------
    picture : ndarray of shape (height, width, 3), path or PIL picture
        The picture, which stays as it is; files and PIL pictures are turned upright by their EXIF
        orientation.
    hand : array-like of shape (n_joints, 2), px, or (n_joints, 3), mm, or (n_hands, n_joints, 2 or 3)
        Keypoints in the upright picture, or joints in the camera frame. A bone with an unknown end (NaN) or
        one that is not before the camera is left out.
    camera : array-like of shape (3, 3), or (n_hands, 3, 3), px, default=None
        Intrinsics of the picture, for joints in mm; one for all hands or one each.
    width : float or None, px, default=None
        Width of the lines, 10 000 at most; None is a fortieth of the hand's longer side, and 1 at least.
    colour : str, tuple or None, default=None
        One colour for all bones, as Pillow takes them; None is one a finger.
    layout : str or Layout, default="canonical"
        The joints of ``hand``: 21 in canonical order, or another layout or its name in
        `skhand.skeleton.LAYOUTS`.

    Returns
    -------
    drawn : PIL.Image.Image
        RGB, of the picture's size: ``drawn.save("overlay.png")``.

    Raises
    ------
    InputError
        If there is not one picture, a hand has another shape, joints in mm come without a camera, or an
        option is not what was expected.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.plotting import draw_hand
    >>> hands = make_hands(1, image_size=64, random_state=0)
    >>> draw_hand(hands.data.rgb[0], hands.target[0], hands.data.camera[0]).size
    (64, 64)
    """
    from PIL import Image

    layout = resolve_layout(layout)
    if width is not None:
        check_number(width, "width", low=0, high=_WIDEST, include_low=False)
    colours = joint_colours(layout) if colour is None else [_check_colour(colour)] * len(layout)
    hands = _find_keypoints(hand, camera, len(layout))
    pictures = read_pictures(picture, "picture")
    if len(pictures) != 1:
        raise InputError(f"picture: expected one picture, got {len(pictures)}.")
    drawn = Image.fromarray(pictures[0].pixels)
    for points in hands:
        _draw_one(drawn, points, width, layout_bones(layout), colours)
    return drawn


def _check_colour(colour: Any) -> Any:
    """Return a colour as Pillow takes it: a name, "#rrggbb" or a tuple of three or four numbers, 0 to 255."""
    from PIL import ImageColor

    if isinstance(colour, str):
        with contextlib.suppress(ValueError):
            return ImageColor.getrgb(colour)
    elif isinstance(colour, tuple | list) and len(colour) in (3, 4):
        return tuple(int(check_number(part, "colour", integer=True, low=0, high=255)) for part in colour)
    raise InputError(
        f"colour: expected a colour's name, '#rrggbb', or 3 or 4 numbers from 0 to 255, got {colour!r}."
    )


def _find_keypoints(hand: Any, camera: Any, n_joints: int) -> np.ndarray:
    """Return the hands as keypoints (n, n_joints, 2), px."""
    hands = check_numbers(hand, "hand", allow_nan=True)
    if hands.shape[-2:] not in ((n_joints, 2), (n_joints, 3)) or hands.ndim not in (2, 3):
        raise InputError(
            f"hand: expected keypoints ({n_joints}, 2) or joints ({n_joints}, 3), of one hand or of several "
            f"(n, {n_joints}, ...), got {describe(hand)}."
        )
    hands = hands.reshape(-1, *hands.shape[-2:])
    cameras = None if camera is None else check_camera(check_numbers(camera, "camera", allow_nan=True))
    if cameras is not None and cameras.shape not in ((3, 3), (len(hands), 3, 3)):
        raise CameraError(f"camera: expected (3, 3) or ({len(hands)}, 3, 3), got {describe(camera)}.")
    if hands.shape[2] == 2:
        return hands
    if cameras is None:
        raise CameraError("camera: expected intrinsics (px) to draw a hand of joints in mm, got None.")
    before = hands[..., 2:] > 0
    return project(np.where(before, hands, np.nan), cameras)


def _draw_one(
    drawn: Any, points: np.ndarray, width: float | None, bones: Sequence[tuple[int, int]], colours: list[Any]
) -> None:
    """Draw one hand (n_joints, 2), px, into a PIL picture, through a larger layer of its own."""
    from PIL import Image, ImageDraw

    with np.errstate(invalid="ignore"):  # NaN is unknown, and a place far outside is none
        known = (np.abs(points) < _FAR).all(axis=1)
    if not known.any():
        return
    low, high = points[known].min(axis=0), points[known].max(axis=0)
    line = max(1.0, min((high - low).max(), max(drawn.size)) / 40) if width is None else float(width)
    pad = 3 * line + 2
    first = np.maximum(np.floor(low - pad), 0)
    last = np.minimum(np.ceil(high + pad), np.array(drawn.size))
    if (last <= first).any():  # nothing of the hand is in the picture
        return
    size = (last - first).astype(int)
    layer = Image.new("RGBA", tuple((size * _SCALE).tolist()), (0, 0, 0, 0))
    pen = ImageDraw.Draw(layer)
    places = (points - first + 0.5) * _SCALE - 0.5
    for rim in (True, False):
        thick = (line * 1.8 if rim else line) * _SCALE
        radius = thick * (0.75 if rim else 0.9)
        lone = set(range(len(points))).difference(*bones)
        for parent, child in (*bones, *((joint, joint) for joint in sorted(lone))):
            if not (known[parent] and known[child]):
                continue
            fill = _RIM if rim else colours[child]
            ends = [tuple(places[joint].tolist()) for joint in (parent, child)]
            pen.line(ends, fill=fill, width=max(1, round(thick)))
            for x, y in ends:
                pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    layer = layer.resize(tuple(size.tolist()), Image.Resampling.BOX)
    drawn.paste(layer, tuple(first.astype(int).tolist()), layer)
