"""A picture with everything that must change along with it: crop, rotate and mirror a hand's view."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skhand._columns import PICTURES
from skhand._validation import check_shape, check_side
from skhand.exceptions import InputError
from skhand.geometry._affine import (
    affine_crop,
    affine_mirror,
    affine_rotate,
    apply_affine,
    picture_size,
    warp_images,
)
from skhand.geometry._camera import per_row, rotation_z, transform_camera

__all__ = ["View", "crop_view", "mirror_view", "rotate_view"]


@dataclass(frozen=True, eq=False)
class View:
    """One hand, or n hands, as seen in pictures of one size; the fields are named as `HandFrames`' columns.

    All fields are optional, but at least one picture is needed to crop, rotate or mirror. For one hand
    leave the first axis out of every field.

    Parameters
    ----------
    rgb : array-like of shape (n_samples, height, width, 3), optional
        Colour pictures.
    depth : array-like of shape (n_samples, height, width), mm, optional
        Depth along z, 0 where nothing was measured.
    mask : array-like of shape (n_samples, height, width), bool, optional
        Which pixels show the hand.
    camera : array-like of shape (n_samples, 3, 3) or (3, 3), px, optional
        Intrinsics of these pictures.
    pose3d : array-like of shape (n_samples, n_joints, 3), mm, camera frame, optional
        Joints.
    root : array-like of shape (n_samples, 3), mm, camera frame, optional
        Position of the root joint.
    keypoints2d : array-like of shape (n_samples, n_joints, 2), px, optional
        Joints in these pictures.
    side : array-like of shape (n_samples,) or str, optional
        ``"left"`` or ``"right"``.
    affine : array-like of shape (n_samples, 3, 3) or (3, 3), optional
        Maps pixels of the original pictures to pixels of these; none means that these are the originals.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.geometry import View, crop_view, mirror_view
    >>> view = View(rgb=np.zeros((4, 240, 320, 3), np.uint8), side="left")
    >>> small = mirror_view(crop_view(view, box=(100, 50, 80, 80), size=64))
    >>> small.rgb.shape, small.side
    ((4, 64, 64, 3), 'right')
    """

    rgb: Any = None
    depth: Any = None
    mask: Any = None
    camera: Any = None
    pose3d: Any = None
    root: Any = None
    keypoints2d: Any = None
    side: Any = None
    affine: Any = None


def crop_view(view: View, box: Any, size: int | tuple[int, int]) -> View:
    """Cut a box out of the pictures and scale it to a size.

    The camera becomes that of the crop; points in 3D and the side stay as they are.

    Parameters
    ----------
    view : View
        What is seen.
    box : array-like of shape (4,) or (n_samples, 4), px
        Left edge, top edge, width, height, as in `affine_crop`. It may reach over the border.
    size : int or tuple of int, px
        Side of the new pictures, or their (height, width).

    Returns
    -------
    cropped : View

    Raises
    ------
    InputError
        If the view has no picture, or an argument does not fit it.
    """
    return _changed(view, "box", affine_crop(box, size), picture_size(size))


def rotate_view(view: View, degrees: Any, centre: Any = None) -> View:
    """Turn the pictures in their plane, and the hand about the optical axis with them.

    The joints turn by the same angle about z, and the new camera (`transform_camera`) makes both agree
    wherever the picture's centre is.

    Parameters
    ----------
    view : View
        What is seen.
    degrees : float or array-like of shape (n_samples,), degrees
        Positive turns clockwise as one sees the picture.
    centre : array-like of shape (2,) or (n_samples, 2), px, optional
        The pixel that stays where it is; the picture's centre by default.

    Returns
    -------
    rotated : View
        Pictures of the same size; corners that were not seen before are 0.

    Raises
    ------
    InputError
        If the view has no picture, or an argument does not fit it.
    """
    height, width, _ = _geometry_of(view)
    centre = ((width - 1) / 2, (height - 1) / 2) if centre is None else centre
    return _changed(view, "degrees", affine_rotate(degrees, centre), (height, width), rotation_z(degrees))


def mirror_view(view: View) -> View:
    """Mirror the pictures left to right, and the hand with them: a left hand becomes a right one.

    ``x`` changes its sign, ``u`` becomes ``width - 1 - u``, so does the camera's centre.

    Parameters
    ----------
    view : View
        What is seen.

    Returns
    -------
    mirrored : View

    Raises
    ------
    InputError
        If the view has no picture.
    """
    height, width, _ = _geometry_of(view)
    mirrored = _changed(view, "view", affine_mirror(width), (height, width), np.diag([-1.0, 1.0, 1.0]))
    if view.side is None:
        return mirrored
    other = np.where(check_side(view.side) == "left", "right", "left")
    return replace(mirrored, side=other if other.ndim else str(other))


def _geometry_of(view: View) -> tuple[int, int, int | None]:
    """Return height and width (px) of the pictures, and how many there are (None: one, without an axis)."""
    shapes = {}
    for name in PICTURES:
        picture = getattr(view, name)
        if picture is not None:
            shape = tuple(picture.shape if hasattr(picture, "shape") else np.shape(picture))
            shapes[name] = shape[:-1] if name == "rgb" else shape
    if not shapes:
        raise InputError("view: expected at least one picture (rgb, depth or mask), got none.")
    if len(set(shapes.values())) > 1 or len(next(iter(shapes.values()))) not in (2, 3):
        raise InputError(f"view: expected pictures of one shape ([n_samples,] height, width), got {shapes}.")
    *rows, height, width = next(iter(shapes.values()))
    return height, width, rows[0] if rows else None


def _changed(
    view: View, name: str, affine: np.ndarray, size: tuple[int, int], turn: np.ndarray | None = None
) -> View:
    """Change every field: pictures and pixels by ``affine``, points by ``turn``; ``name`` is the argument."""
    _, _, n_samples = _geometry_of(view)
    if affine.shape not in ((3, 3), (n_samples, 3, 3)):
        pictures = "one picture" if n_samples is None else f"{n_samples} pictures"
        raise InputError(
            f"{name}: expected one for all, or one a row, of {pictures}, got {affine.shape[:-2]}."
        )
    per_picture = affine if n_samples is None else np.broadcast_to(affine, (n_samples, 3, 3))
    new: dict[str, Any] = {}
    for column, order in PICTURES.items():
        picture = getattr(view, column)
        new[column] = None if picture is None else warp_images(picture, per_picture, size, order=order)
    if view.camera is not None:
        new["camera"] = transform_camera(view.camera, affine, turn)
    if view.keypoints2d is not None:
        new["keypoints2d"] = apply_affine(affine, view.keypoints2d)
    for column in ("pose3d", "root"):
        points = getattr(view, column)
        if points is not None and turn is not None:
            points = check_shape(points, column, (3,), leading=True)
            new[column] = (per_row(turn, points, name, column) @ points[..., None])[..., 0]
    before = np.eye(3) if view.affine is None else check_shape(view.affine, "affine", (3, 3), leading=True)
    return replace(view, **new, affine=per_picture @ before)
