"""Generated hands: posed within joint limits, photographed by a pinhole camera, labelled exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state

from skhand._columns import LazyColumn
from skhand._validation import check_number, check_option
from skhand.datasets._hands.gestures import GESTURES
from skhand.datasets._hands.kinematics import ANGLES
from skhand.datasets._hands.source import HandSource
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.skeleton import JOINTS

__all__ = ["make_hands"]

_IMAGES = ("rgb", "depth", "mask")

_DESCR = """Generated hands
===============

{n_samples} pictures of {image_size} x {image_size} px of {n_subjects} made-up people, sides: {side},
views up to {rotation:g} degrees from the frontal one (palm to the camera, fingers up).

What is modelled: 22 joint angles within limits, drawn from a mixture of {n_gestures} gestures, blends of
two, pinches and free poses; bone lengths, thickness and skin of each person; a pinhole camera whose
picture is cropped to the hand, 300 to 900 mm away; skin as smoothly joined round cones with creases,
nails and redness; a sleeve in about half of the rows; one soft-edged light with shadow, light from above
and below, darkening in hollows; procedural backgrounds; blur, noise, exposure and white balance.

What is not: the true shape of flexed palms and webs, hair, veins, wrinkles that move, jewellery, objects
in the hand, a second hand, motion blur, lens distortion, the noise of a depth sensor (depth is exact).

Units: mm in the camera frame (x right, y down, z forward), px with the centre of the top-left pixel at
(0, 0). Row i depends on random_state and i only. Row i of a left hand is the mirror image of row i of a
right hand.
"""


class RenderedColumn(LazyColumn):
    """Pictures of generated hands, rendered when rows are asked for.

    Parameters
    ----------
    source : HandSource
        What makes the rows.
    name : {"rgb", "depth", "mask"}
        Which picture.
    n_samples : int
        How many rows.
    """

    def __init__(self, source: HandSource, name: str, n_samples: int):
        self.source, self.name = source, name
        size = source.image_size
        dtype = {"rgb": np.uint8, "depth": np.float32, "mask": np.bool_}[name]
        super().__init__((n_samples, size, size, 3) if name == "rgb" else (n_samples, size, size), dtype)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        return self.source.pictures(rows, (self.name,))[self.name]


def make_hands(
    n_samples: int = 1000,
    *,
    image_size: int = 128,
    n_subjects: int = 10,
    side: str = "both",
    rotation: float = 180.0,
    images: tuple[str, ...] = ("rgb", "depth", "mask"),
    lazy: bool = False,
    random_state: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Generate labelled pictures of hands.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of hands.
    image_size : int, default=128
        Height and width of the pictures, px, at least 16.
    n_subjects : int, default=10
        Number of made-up people; each row draws one.
    side : {"both", "left", "right"}, default="both"
        Which hands; ``"both"`` draws a side for each row.
    rotation : float, default=180.0
        Largest angle of the view, degrees in [0, 180]: the frontal view (palm to the camera, fingers up)
        is turned about a random axis by an angle uniform in [0, ``rotation``]. It covers turns in the
        picture's plane as well as out of it; 180 reaches every view.
    images : tuple of {"rgb", "depth", "mask"}, default=("rgb", "depth", "mask")
        Which pictures to make; may be empty.
    lazy : bool, default=False
        Whether the pictures are rendered when they are asked for, the same ones bit by bit, instead of
        all at once.
    random_state : int, RandomState instance or None, default=None
        Row i depends on this seed and i only: not on ``n_samples``, and not on which rows are asked for
        together.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    hands : Bunch
        ``data`` : HandFrames with the pictures, ``keypoints2d`` (px), ``camera`` (px), ``side``,
        ``scale`` (bone middle MCP to PIP, mm), ``root`` (palm: mean of wrist and middle MCP, mm), ``box``
        (px) and ``domain`` "synthetic".
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, camera frame.
        ``visible`` : ndarray of shape (n_samples, 21), bool: the joint is in the frame and at most 20 mm
        behind the surface that covers it.
        ``groups`` : ndarray of shape (n_samples,), the person.
        ``angles`` : ndarray of shape (n_samples, 22), degrees. ``gesture`` : ndarray of str.
        ``joint_names``, ``angle_names``, ``DESCR``.
    (data, target) : tuple
        If ``return_X_y`` is True.

    Raises
    ------
    InputError
        If an argument is out of its range.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> hands = make_hands(4, image_size=32, random_state=0)
    >>> hands.data.rgb.shape, hands.target.shape
    ((4, 32, 32, 3), (4, 21, 3))
    """
    check_number(n_samples, "n_samples", integer=True, low=1)
    check_number(image_size, "image_size", integer=True, low=16)
    check_number(n_subjects, "n_subjects", integer=True, low=1)
    check_option(side, "side", ("both", "left", "right"))
    check_number(rotation, "rotation", low=0.0, high=180.0)
    images = _check_images(images)
    seed = int(check_random_state(random_state).randint(0, 2**31 - 1))
    source = HandSource(seed, int(image_size), int(n_subjects), side, float(rotation))
    poses = source.poses(np.arange(n_samples))
    joints, camera, box = poses.joints.copy(), poses.camera.copy(), poses.box.copy()
    left = poses.is_left
    joints[left, :, 0] *= -1
    camera[left, 0, 2] = image_size - 1 - camera[left, 0, 2]
    box[left, 0] = image_size - 1 - (box[left, 0] + box[left, 2])
    flat = joints[..., :2] / joints[..., 2:]
    keypoints = flat * camera[:, None, [0, 1], [0, 1]] + camera[:, None, :2, 2]
    if lazy:
        pictures: dict[str, Any] = {name: RenderedColumn(source, name, n_samples) for name in images}
    else:
        pictures = dict(source.pictures(np.arange(n_samples), images)) if images else {}
    data = HandFrames(
        **pictures,
        keypoints2d=keypoints,
        camera=camera,
        side=np.where(left, "left", "right"),
        scale=np.linalg.norm(joints[:, 10] - joints[:, 9], axis=1),
        root=0.5 * (joints[:, 0] + joints[:, 9]),
        box=box,
        visible=poses.visible,
        domain=np.full(n_samples, "synthetic"),
    )
    if return_X_y:
        return data, joints
    return Bunch(
        data=data,
        target=joints,
        visible=poses.visible,
        groups=poses.subject,
        angles=poses.angles,
        gesture=np.array(GESTURES)[poses.gesture],
        joint_names=JOINTS,
        angle_names=ANGLES,
        DESCR=_DESCR.format(
            n_samples=n_samples,
            image_size=image_size,
            n_subjects=n_subjects,
            side=side,
            rotation=rotation,
            n_gestures=len(GESTURES) - 1,
        ),
    )


def _check_images(images: Any) -> tuple[str, ...]:
    """Return the names of the pictures, each once, in their own order."""
    if isinstance(images, str) or not np.iterable(images):
        raise InputError(f"images: expected a tuple of names out of {_IMAGES}, got {images!r}.")
    for name in images:
        check_option(name, "images", _IMAGES)
    return tuple(name for name in _IMAGES if name in tuple(images))
