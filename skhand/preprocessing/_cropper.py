"""HandCropper: full pictures in, pictures of the hand out, with all that belongs to them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from skhand._columns import PICTURES
from skhand._validation import LARGEST_FLOAT, check_bool, check_number, check_option
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import affine_crop
from skhand.geometry._affine import picture_size
from skhand.preprocessing._base import FramesTransformer, check_frames, move_frames, picture_shape
from skhand.preprocessing._change import change_column
from skhand.preprocessing._crop import Crop
from skhand.preprocessing._windows import LARGEST, SOURCES, find_extents, place_windows, warn_of_empty
from skhand.skeleton import JOINTS

__all__ = ["HandCropper"]

# preset -> what it lays down
_PRESETS: dict[str, dict[str, Any]] = {
    "hand3d": {"source": "keypoints", "centre": "middle_mcp", "min_size": 50, "max_size": 500},
    "iqbal": {"source": "box", "centre": None, "min_size": None, "max_size": None},
}
_MARGIN = 1.2


class HandCropper(FramesTransformer):
    """Cut the hand out of its picture and scale it to one size; camera, keypoints and box follow.

    The window around the hand is rounded to whole pixels, and camera, keypoints and box follow the rounded
    one exactly. Points in 3D stay as they are: a crop does not change the camera's frame, so what is
    predicted from a crop holds for the full picture.

    Parameters
    ----------
    size : int or tuple of int, px, default=256
        Side of the new pictures, or their (height, width).
    source : {"auto", "box", "keypoints", "mask"}, default="auto"
        What shows where the hand is: the column ``box``, ``keypoints2d`` or ``mask``. "auto" takes for each
        row the first of these that it has. "keypoints" takes all that are not NaN, whether they are visible
        or not, and the box of rows that have none. A loader's box is often that of the true joints.
    margin : float or None, default=None
        Factor on the sides of the hand's box. None is 1.2, and 1 with a preset.
    square : bool, default=True
        Whether the window has the proportions of ``size`` (a square for one number), so that pixels stay
        square. If not, the box is stretched to ``size``.
    min_size, max_size : float or None, px, default=None
        Limits of the window's longer side, after the margin.
    centre : str or None, default=None
        Centre of the window: a joint, such as ``"middle_mcp"``, for crops from 21 keypoints. The window then
        reaches as far to each side of the joint as the farthest keypoint is, along either axis; rows that
        lack the joint are cropped to their box. None is the centre of the box.
    preset : {"hand3d", "iqbal"} or None, default=None
        A published rule in place of ``source``, ``centre``, ``min_size`` and ``max_size``. "hand3d" [1]_:
        centre at the middle MCP, twice the largest distance of a visible keypoint, at least 50 and at most
        500 px. The column ``visible`` tells which are; without it, or where a row has none, all known ones
        count. "iqbal" [2]_: the column ``box`` as it is, made with `head_box` from 0.7 head lengths.
    antialias : bool, default=True
        Whether colour is averaged where the crop is smaller than the window. False takes the four nearest
        pixels only, as OpenCV's INTER_LINEAR does, and is faster.
    lazy : {"auto", True, False}, default="auto"
        Whether pictures are cropped when rows are asked for, and no copy of them all is made. "auto" crops
        what is in memory at once, and memory maps, files and other lazy columns when they are read. Of lazy
        crops, augmentation in ``fit`` sees what lies beside them.

    See Also
    --------
    head_box : Boxes from the length of the head.
    warp_images : Pictures sampled by any matrix, of a box between pixels for example.

    Notes
    -----
    Colour is interpolated between pixels; depth and mask take the nearest pixel. Outside of the picture all
    are 0.

    "hand3d" takes the largest distance along an axis, as the published code does. That code also never
    shrinks a picture, which limits the window to 256 px; here 500 holds. As there, the middle MCP is the
    centre even where it is not visible.

    References
    ----------
    .. [1] C. Zimmermann, T. Brox. Learning to Estimate 3D Hand Pose from Single RGB Images. ICCV 2017.
    .. [2] U. Iqbal, P. Molchanov, T. Breuel, J. Gall, J. Kautz. Hand Pose Estimation via Latent 2.5D Heatmap
       Regression. ECCV 2018.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.preprocessing import HandCropper
    >>> hands = make_hands(4, image_size=64, random_state=0)
    >>> crops = HandCropper(32, margin=1.1).fit_transform(hands.data)
    >>> crops.rgb.shape
    (4, 32, 32, 3)
    >>> back = HandCropper(32).inverse_transform(crops)
    >>> bool(abs(back.camera - hands.data.camera).max() < 1e-6)
    True
    """

    def __init__(
        self,
        size: int | tuple[int, int] = 256,
        *,
        source: str = "auto",
        margin: float | None = None,
        square: bool = True,
        min_size: float | None = None,
        max_size: float | None = None,
        centre: str | None = None,
        preset: str | None = None,
        antialias: bool = True,
        lazy: Any = "auto",
    ):
        self.size = size
        self.source = source
        self.margin = margin
        self.square = square
        self.min_size = min_size
        self.max_size = max_size
        self.centre = centre
        self.preset = preset
        self.antialias = antialias
        self.lazy = lazy

    def transform(self, X: HandFrames) -> HandFrames:
        """Crop every row.

        Parameters
        ----------
        X : HandFrames
            With ``box``, ``keypoints2d`` or ``mask``; pictures are welcome, and not needed.

        Returns
        -------
        crops : HandFrames
            ``rgb``, ``depth`` and ``mask`` (n_samples, height, width), of the same type, and ``camera``,
            ``keypoints2d``, ``box`` and ``affine`` of these pictures; the other columns as they were.

        Warns
        -----
        UserWarning
            If a crop lies wholly outside of its picture; it says in how many rows.

        Raises
        ------
        InputError
            If a parameter is not what was expected, a column that is needed is missing, or a row has nothing
            to crop to.
        """
        self._check(X)
        size = picture_size(self.size)
        rule = self._check_rule()
        low, high = find_extents(X, rule["source"], rule["centre"], seen_only=self.preset == "hand3d")
        windows = place_windows(low, high, rule["margin"], rule["limits"], size if self.square else None)
        edges = windows - (0.5, 0.5, 0, 0)
        warn_of_empty(edges, picture_shape(X))
        smooth: Literal["antialiased", "bilinear"] = "antialiased" if self.antialias else "bilinear"
        pictures: dict[str, Any] = {}
        for name in PICTURES:
            if name in X.columns:
                column = getattr(X, name)
                change = Crop(windows, size, smooth if name == "rgb" else "nearest")
                pictures[name] = change_column(
                    column, change, (*size, *column.shape[3:]), column.dtype, self.lazy
                )
        return move_frames(X, affine_crop(edges, size), **pictures)

    def _check(self, X: HandFrames) -> None:
        rule = self._check_rule()
        check_frames(X)
        picture_shape(X)
        n_joints = X.keypoints2d.shape[1] if "keypoints2d" in X.columns else len(JOINTS)
        if rule["centre"] is not None and n_joints != len(JOINTS):
            raise InputError(f"centre: a joint's name needs 21 keypoints, got {n_joints} in keypoints2d.")
        if self.preset == "hand3d" and "visible" in X.columns and X.visible.shape[1] != n_joints:
            raise InputError(f"visible: expected {n_joints} joints a row, got {X.visible.shape[1]}.")

    def _check_rule(self) -> dict[str, Any]:
        """Validate the parameters and return the rule to crop by."""
        picture_size(self.size)
        check_option(self.source, "source", ("auto", *SOURCES))
        check_bool(self.square, "square")
        check_bool(self.antialias, "antialias")
        check_option(self.lazy, "lazy", ("auto", True, False))
        check_option(self.preset, "preset", (None, *_PRESETS))
        rule = {name: getattr(self, name) for name in ("source", "centre", "min_size", "max_size")}
        if self.preset is not None:
            for name, value in rule.items():
                if value not in ("auto", None):
                    raise InputError(f"{name}: the preset {self.preset!r} lays it down; got {value!r} too.")
            rule = dict(_PRESETS[self.preset])
        if rule["centre"] is not None:
            check_option(rule["centre"], "centre", JOINTS)
            if rule["source"] not in ("auto", "keypoints"):
                raise InputError(f"centre: a joint needs source='keypoints', got {rule['source']!r}.")
            rule["source"] = "keypoints"
        least, most = rule.pop("min_size"), rule.pop("max_size")
        least = (
            0 if least is None else check_number(least, "min_size", low=0, high=LARGEST, include_low=False)
        )
        most = (
            np.inf
            if most is None
            else check_number(most, "max_size", low=max(least, 1e-6), high=LARGEST_FLOAT)
        )
        default = _MARGIN if self.preset is None else 1.0
        margin = default if self.margin is None else self.margin
        check_number(margin, "margin", low=0, high=LARGEST_FLOAT, include_low=False)
        return {**rule, "margin": margin, "limits": (least, most)}
