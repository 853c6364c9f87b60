"""Generated hands: posed within joint limits, photographed by a pinhole camera, labelled exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skhand._validation import check_bool, check_number, check_option, check_seed
from skhand.datasets._backgrounds import find_backgrounds
from skhand.datasets._endless import EndlessHands, lazy_pictures, place_hands
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.rendering.gestures import GESTURES
from skhand.rendering.kinematics import ANGLES
from skhand.rendering.settings import check_settings
from skhand.rendering.source import HandSource
from skhand.skeleton import JOINTS

__all__ = ["HAND_PRESETS", "make_hands"]

_IMAGES = ("rgb", "depth", "mask")

HAND_PRESETS: dict[str, dict[str, Any]] = {
    "rhd": {
        "image_size": 320,
        "framing": ((284.8, 0.0, 159.5), (0.0, 284.8, 159.5), (0.0, 0.0, 1.0)),
        "distance": (390.0, 620.0),
    },
    "nyu": {
        "images": ("depth", "mask"),
        "framing": 300.0,
        "distance": (710.0, 1040.0),
        "domain": "real",
        "sensor": "structured_light",
    },
    "icvl": {
        "images": ("depth", "mask"),
        "framing": 300.0,
        "distance": (260.0, 400.0),
        "domain": "real",
        "sensor": "time_of_flight",
    },
}
"""Arguments of `make_hands` by name of a setting: ``make_hands(1000, **HAND_PRESETS["rhd"])``.

"rhd" resembles the framing of Rendered Hand Pose: whole pictures of 320 px with its mean intrinsics. "nyu"
and "icvl" resemble windows of 300 mm cut out of depth pictures: of a first Kinect, and of a time-of-flight
camera. Distances are those that 90% of the evaluation frames have.
"""

_DESCR = """Generated hands
===============

{n_samples} pictures of {image_size} x {image_size} px of {n_subjects} made-up people, sides: {side},
views up to {rotation:g} degrees from the frontal one (palm to the camera, fingers up).

What is modelled: 22 joint angles within limits, drawn from a mixture of {n_gestures} gestures, pinches
and free poses, among them blends of two; bone lengths, thickness and skin of each person; a pinhole
camera; skin as smoothly joined round cones with creases, nails, veins, hair and redness; sleeves; one
soft-edged light with shadow, light from above and below, darkening in hollows; backgrounds of nine kinds,
some with a person, or windows of the user's pictures; things before the hand; defocus, shake, shot and
read noise, vignette, exposure, white balance, JPEG; depth, exact or as a depth camera measures it.

What is not: the true shape of flexed palms and webs, wrinkles that move, jewellery, objects in the grip, a
second hand, lens distortion. The page on generated hands in the documentation says more.

Units: mm in the camera frame (x right, y down, z forward), px with the centre of the top-left pixel at
(0, 0). Row i depends on random_state and i only. Row i of a left hand is the mirror image of row i of a
right hand.
"""


def make_hands(
    n_samples: int = 1000,
    *,
    image_size: int = 128,
    n_subjects: int = 10,
    side: str = "both",
    rotation: float = 180.0,
    images: tuple[str, ...] = ("rgb", "depth", "mask"),
    gestures: Any = None,
    distance: tuple[float, float] = (300.0, 900.0),
    framing: Any = (1.1, 1.9),
    shape: float = 1.0,
    thickness: Any = None,
    skin: tuple[float, float] = (0.0, 1.0),
    sleeves: float = 0.55,
    light: tuple[float, float] = (0.25, 1.0),
    backgrounds: Any = "procedural",
    occluders: float = 0.0,
    blur: float = 1.0,
    noise: float = 1.0,
    motion: float = 0.0,
    jpeg: tuple[float, float] | None = None,
    strange: float = 0.0,
    domain: str = "synthetic",
    sensor: str = "structured_light",
    lazy: bool = False,
    endless: bool = False,
    device: str = "cpu",
    random_state: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Generate labelled pictures of hands.

    Parameters
    ----------
    n_samples : int, default=1000
        Number of hands, up to 10**8.
    image_size : int, default=128
        Height and width of the pictures, px, 16 to 10 000.
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
    gestures : str, sequence of str, dict of str to float or None, default=None
        Names out of `skhand.datasets.GESTURES`, equally often, or each with a weight; None is the built-in
        mixture. Angles vary about the gestures'; "free" stands for blends and poses that follow none.
    distance : (float, float), default=(300, 900)
        Range of the distance of the hand's middle from the camera, mm, at least 200; very near hands are
        moved away so that no joint is nearer than 170 mm.
    framing : (float, float), float or array-like of shape (3, 3), default=(1.1, 1.9)
        A square crop so many times as wide as the hand, off centre by up to 8%; a crop about the hand's
        middle that is so many mm wide there; or the intrinsics (px) of whole pictures, in which the hand
        lies about the middle and wholly inside if it fits. Those of a left hand are mirrored, the principal
        point included.
    shape : float, default=1.0
        How much people differ in size, proportions and thickness; 0 gives all of them the mean hand.
    thickness : float, (float, float, float) or None, default=None
        Factor on the thickness of all, or factors on that of fingers, palm and forearm, 0.5 to 1.5; bones and
        poses stay as they are. None is 1, and (1.08, 1.04, 1.05) where ``domain="real"``. With (0.75, 0.85,
        0.8) there, the domains differ more.
    skin : (float, float), default=(0, 1)
        Range of skin tones from the lightest, 0, to the darkest, 1.
    sleeves : float, default=0.55
        Share of the rows with a sleeve.
    light : (float, float), default=(0.25, 1)
        Range of the strength of the light that casts the shadow; there is light from everywhere beside it.
    backgrounds : "procedural", path or None, default="procedural"
        What is behind the hand in ``rgb``: drawn surroundings, JPEGs and PNGs out of a folder, or black.
    occluders : float, default=0.0
        Share of the rows with a thing in front of the hand: in ``rgb`` and ``depth``, cut out of ``mask``,
        and considered in ``visible``.
    blur, noise : float, default=1.0
        Factors on the blur and on the noise of the whole ``rgb``; 0 is none. Drawn backgrounds are out of
        focus by themselves.
    motion : float, default=0.0
        Share of the rows that are blurred along a line of 2 to 5% of the picture; below 1 px, in small
        pictures, nothing is seen of it.
    jpeg : (float, float) or None, default=None
        Range of the JPEG quality, 1 to 100, that ``rgb`` goes through; None leaves it as it is.
    strange : float, default=0.0
        Share of the rows that look as other renderers draw hands, in some of six ways: an arm that
        ends at the wrist, skin of any colour, skin without detail, light from everywhere, a background of one
        colour or between two, or one that is in focus down to the pixel (above 128 px, to two pixels).
    domain : {"synthetic", "real"}, default="synthetic"
        Depth as it is, or as a depth camera measures it: quantised, noisy, with holes and flying pixels; the
        people's hands are shaped otherwise too. "real" is generated as well: it stands in for what a real
        camera takes, and is no replacement for it; colour pictures are the same in both. X's column
        ``domain`` has the same word.
    sensor : {"structured_light", "time_of_flight", "lossy"}, default="structured_light"
        Which depth camera "real" stands in for. "lossy" is the first one in bad shape: it loses 5 to 20% of
        all pixels, 40 to 80% of those along edges and most of what it sees from the side, and its depth is
        off by up to 10 mm, another offset each picture.
    lazy : bool, default=False
        Whether the pictures are rendered when they are asked for, the same ones bit by bit, instead of
        all at once. A fit renders the columns that it reads together; a column that is read by itself is
        rendered for itself. A row takes about 1 kB, so a fit may take millions.
    endless : bool, default=False
        Whether the hands have no end: ``data`` is then an `EndlessHands`, whose ``at_epoch(k)`` has the rows
        k * n_samples to (k + 1) * n_samples - 1 of the same ``random_state``, so that no row comes twice. All
        else that is returned is of epoch 0, which is what the same arguments give without ``endless``. Poses
        are the column ``pose3d``, so that ``fit(data)`` needs no y. It takes ``lazy=True``, and no
        ``return_X_y``.
    device : str, default="cpu"
        Where to render; "auto" is a GPU if there is one. Pictures agree bit by bit on one device only.
    random_state : int, RandomState instance or None, default=None
        Row i depends on this seed and i only: not on ``n_samples``, and not on which rows are asked for
        together.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    hands : Bunch
        ``data`` : HandFrames, or EndlessHands, with the pictures, ``keypoints2d`` (px), ``camera`` (px),
        ``side``, ``scale`` (bone middle MCP to PIP, mm), ``root`` (palm: mean of wrist and middle MCP, mm),
        ``box`` (px), ``visible`` and ``domain``.
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, camera frame.
        ``visible`` : ndarray of shape (n_samples, 21), bool: the joint is in the frame and at most 15 mm
        behind the skin that its ray meets first (before seams are
        smoothed, which adds 2 mm at most where the skin faces the camera, and up to 7 mm at grazing angles).
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
    check_number(n_samples, "n_samples", integer=True, low=1, high=10**8)
    _check_endless(endless, lazy, return_X_y)
    images = _check_images(images)
    settings = check_settings(
        image_size=image_size,
        n_subjects=n_subjects,
        side=side,
        rotation=rotation,
        gestures=gestures,
        distance=distance,
        framing=framing,
        shape=shape,
        thickness=thickness,
        skin=skin,
        sleeves=sleeves,
        light=light,
        backgrounds=_check_backgrounds(backgrounds),
        occluders=occluders,
        blur=blur,
        noise=noise,
        motion=motion,
        jpeg=jpeg,
        strange=strange,
        domain=domain,
        sensor=sensor,
        device=device,
    )
    seed = int(check_seed(random_state).randint(0, 2**31 - 1))
    source = HandSource(seed, settings)
    poses, columns = place_hands(source, np.arange(n_samples))
    joints, plain = columns["pose3d"], {name: each for name, each in columns.items() if name != "pose3d"}
    if endless:
        data: HandFrames = EndlessHands(source, images, columns)
    elif lazy:
        data = HandFrames(**lazy_pictures(source, images, int(n_samples)), **plain)
    else:
        data = HandFrames(**source.make(np.arange(n_samples), images), **plain)
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
    numeric = isinstance(images, np.ndarray) and images.dtype.kind not in "UO"
    if isinstance(images, str) or numeric or not np.iterable(images):
        raise InputError(f"images: expected a tuple of names out of {_IMAGES}, got {images!r}.")
    wanted = [check_option(name, "images", _IMAGES) for name in images]
    return tuple(name for name in _IMAGES if name in wanted)


def _check_endless(endless: Any, lazy: Any, return_X_y: Any) -> None:
    check_bool(lazy, "lazy")
    check_bool(endless, "endless")
    check_bool(return_X_y, "return_X_y")
    if endless and not lazy:
        raise InputError(
            "endless: expected lazy=True with it, as not all pictures can be rendered; got False."
        )
    if endless and return_X_y:
        raise InputError(
            "endless: expected return_X_y=False with it, as a y would be of epoch 0 alone, and data has the "
            "poses as its column pose3d; got True."
        )


def _check_backgrounds(backgrounds: Any) -> Any:
    """Return the names of the picture files in a folder, or what is no folder as it came."""
    if backgrounds is None or (isinstance(backgrounds, str) and backgrounds == "procedural"):
        return backgrounds
    return tuple(str(path.resolve()) for path in find_backgrounds(backgrounds))
