"""Name the hand's joints, parents, bones and fingers, and convert between data sets' layouts by name."""

from __future__ import annotations

import numbers
from dataclasses import dataclass
from typing import Any

import numpy as np

from skhand._validation import check_numbers, check_option, describe
from skhand.exceptions import InputError

__all__ = [
    "BONES",
    "FINGERS",
    "JOINTS",
    "LAYOUTS",
    "PARENTS",
    "Layout",
    "convert",
    "joint_index",
    "layout_bones",
    "root_position",
]

_FINGER_NAMES = ("thumb", "index", "middle", "ring", "little")


def _name_finger(name: str) -> tuple[str, ...]:
    """Name the four joints of a finger, base to tip."""
    parts = ("cmc", "mcp", "ip", "tip") if name == "thumb" else ("mcp", "pip", "dip", "tip")
    return tuple(f"{name}_{part}" for part in parts)


#: Names of the 21 joints in the library's own (canonical) order: wrist, then each finger base to tip.
JOINTS: tuple[str, ...] = ("wrist", *(joint for finger in _FINGER_NAMES for joint in _name_finger(finger)))

#: The four joint indices of each finger, base to tip.
FINGERS: dict[str, tuple[int, ...]] = {
    finger: tuple(JOINTS.index(joint) for joint in _name_finger(finger)) for finger in _FINGER_NAMES
}

#: The parent of each joint; -1 for the wrist. A finger's base hangs on the wrist.
PARENTS: tuple[int, ...] = (-1, *(0 if i % 4 == 1 else i - 1 for i in range(1, 21)))

#: The 20 bones as (parent, child); bone i ends in joint i + 1.
BONES: tuple[tuple[int, int], ...] = tuple((PARENTS[i], i) for i in range(1, 21))


@dataclass(frozen=True)
class Layout:
    """The joints of a data set in their order.

    Parameters
    ----------
    name : str
        Key of the layout in `LAYOUTS`.
    joints : tuple of str
        Joint names in the data set's order. A name from `JOINTS` means that anatomical joint,
        ``"palm"`` a palm centre from which a wrist is extrapolated; any other name is the data set's
        own joint, for which no canonical counterpart exists.
    note : str
        Where the joints lie, as far as it is known.

    Examples
    --------
    >>> from skhand.skeleton import Layout
    >>> pinch = Layout("pinch", ("thumb_tip", "index_tip"))
    >>> len(pinch), pinch.joints
    (2, ('thumb_tip', 'index_tip'))
    """

    name: str
    joints: tuple[str, ...]
    note: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "note"):
            if not isinstance(getattr(self, name), str):
                raise InputError(f"{name}: expected a text, got {describe(getattr(self, name))}.")
        check_names(self.joints, "joints")

    def __len__(self) -> int:
        return len(self.joints)


def check_names(value: Any, name: str) -> None:
    """Validate that ``value`` is a tuple of at least one name, each once."""
    if not isinstance(value, tuple) or not value or not all(isinstance(each, str) for each in value):
        raise InputError(f"{name}: expected a tuple of names, got {describe(value)}.")
    if len(set(value)) < len(value):
        raise InputError(f"{name}: expected each name once, got {value}.")


def _name_fingers(order: tuple[str, ...], step: int = 1) -> tuple[str, ...]:
    """Name the joints of the fingers in this order; ``step=-1`` runs tip to base."""
    return tuple(joint for finger in order for joint in _name_finger(finger)[::step])


def _name_nyu_finger(name: str, prefix: str) -> tuple[str, ...]:
    """Name NYU's six points of a finger; the ends of the three segments that are joints get joint names."""
    base, proximal, distal, tip = _name_finger(name)
    return (tip, distal, f"{prefix}_KNU2_A", proximal, f"{prefix}_KNU1_A", base)


_NYU36 = (
    *(_name_nyu_finger("little", "F1") + _name_nyu_finger("ring", "F2") + _name_nyu_finger("middle", "F3")),
    *(_name_nyu_finger("index", "F4") + _name_nyu_finger("thumb", "TH")),
    *("PALM_1", "PALM_2", "PALM_3", "PALM_4", "PALM_5", "wrist"),
)
# as the published experiments of LSPS (Abdi et al. 2018) pair ICVL's points with NYU's
_ICVL_OF_NYU = {
    "icvl_palm": "PALM_5",
    **{
        f"icvl_{finger}_{part}": point
        for finger, prefix in zip(_FINGER_NAMES, ("TH", "F4", "F3", "F2", "F1"), strict=True)
        for part, point in (
            ("root", f"{prefix}_KNU1_A"),
            ("mid", f"{prefix}_KNU2_A"),
            ("tip", _name_finger(finger)[-1]),
        )
    },
}
_NYU14 = (0, 3, 6, 9, 12, 15, 18, 21, 24, 25, 27, 30, 31, 32)
_FROM_LITTLE = _FINGER_NAMES[::-1]

#: The data sets' layouts by name.
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("canonical", JOINTS, "The library's own order."),
        Layout(
            "rhd",
            ("wrist", *_name_fingers(_FINGER_NAMES, -1)),
            "One hand of the 42; each finger tip to base.",
        ),
        Layout(
            "stb",
            ("palm", *_name_fingers(_FROM_LITTLE)),
            "A palm centre, no wrist; the thumb's joints named by place.",
        ),
        Layout(
            "nyu36",
            _NYU36,
            "Each finger has three rigid segments KNU3, KNU2, KNU1 with an end A towards the tip and an end "
            "B towards the palm. KNU3_A is the tip; the B ends stand for the joints, and the centre of "
            "rotation lies 4 to 13 mm beyond them. PALM_6, between PALM_1 and PALM_2, is the wrist. "
            "Other points keep NYU's own names.",
        ),
        Layout(
            "nyu14",
            tuple(_NYU36[i] for i in _NYU14),
            "The 14 of NYU's 36 joints that are evaluated: no MCP but the thumb's, and no wrist centre.",
        ),
        Layout(
            "icvl16",
            (
                "icvl_palm",
                *(f"icvl_{finger}_{part}" for finger in _FINGER_NAMES for part in ("root", "mid", "tip")),
            ),
            "Own names throughout: root to tip is about half as long as a finger (52 mm in the middle "
            "finger), so the points are not MCP, PIP and tip. LSPS pairs them with points of NYU, the root "
            "with the end of a finger's first segment, the mid with that of its second; the shape of the "
            "hand fits, at 0.64 of NYU's size.",
        ),
        Layout(
            "msra21",
            ("wrist", *_name_fingers(("index", "middle", "ring", "little", "thumb"))),
            "The thumb's mcp, pip, dip, tip of the data set are named cmc, mcp, ip, tip by their place.",
        ),
        Layout("freihand", JOINTS, "The canonical order."),
        Layout("tips5", tuple(_name_finger(finger)[-1] for finger in _FINGER_NAMES), "Finger tips only."),
        Layout("mediapipe", JOINTS, "The canonical order; MediaPipe calls the little finger pinky."),
    )
}


# where a joint hangs; a layout that lacks the joint has the next one up this chain
_PARENT_NAMES: dict[str, str] = {
    **{JOINTS[child]: JOINTS[parent] for parent, child in BONES},
    **{"wrist": "palm", "palm": "icvl_palm", "icvl_palm": "PALM_3"},
    **{f"PALM_{i}": "wrist" for i in (1, 2, 4, 5)},
    **{f"icvl_{finger}_root": "wrist" for finger in _FINGER_NAMES},
    **{f"icvl_{finger}_mid": f"icvl_{finger}_root" for finger in _FINGER_NAMES},
    **{f"icvl_{finger}_tip": f"icvl_{finger}_mid" for finger in _FINGER_NAMES},
    **{
        f"{prefix}_KNU{i}_A": _name_finger(finger)[i - 1]
        for finger, prefix in zip(_FINGER_NAMES, ("TH", "F4", "F3", "F2", "F1"), strict=True)
        for i in (1, 2)
    },
}


def resolve_layout(value: str | Layout, name: str = "layout") -> Layout:
    """Return a layout by its name, or as it is."""
    return value if isinstance(value, Layout) else LAYOUTS[check_option(value, name, LAYOUTS)]


def joint_index(name: str, layout: str | Layout = "canonical") -> int:
    """Find a joint's place in a layout.

    Parameters
    ----------
    name : str
        Joint name, for example ``"middle_mcp"``.
    layout : str or Layout, default="canonical"
        Layout, or its name in `LAYOUTS`.

    Returns
    -------
    index : int

    Raises
    ------
    InputError
        If the layout is unknown or has no such joint.

    Examples
    --------
    >>> from skhand.skeleton import joint_index
    >>> joint_index("index_tip"), joint_index("index_tip", "rhd")
    (8, 5)
    """
    joints = resolve_layout(layout).joints
    return joints.index(check_option(name, "name", joints))


def layout_bones(layout: str | Layout) -> tuple[tuple[int, int], ...]:
    """List the bones of a layout, for drawing.

    A joint hangs on its parent; where the layout lacks that, on the parent's parent, and so on to the wrist,
    or to the palm's centre where there is no wrist.

    Parameters
    ----------
    layout : str or Layout
        Layout, or its name in `LAYOUTS`.

    Returns
    -------
    bones : tuple of tuple (parent, child)
        Places in the layout, in the order of the children. A joint whose name is unknown, or that has nothing
        to hang on, ends no bone.

    Raises
    ------
    InputError
        If the layout is unknown.

    Examples
    --------
    >>> from skhand.skeleton import Layout, layout_bones
    >>> layout_bones(Layout("mine", ("index_tip", "thumb_tip", "index_mcp", "wrist")))
    ((2, 0), (3, 1), (3, 2))
    """
    joints = resolve_layout(layout).joints
    parents = [_PARENT_NAMES.get(joint) for joint in joints]
    bones = []
    for child, parent in enumerate(parents):
        while parent is not None and parent not in joints:
            parent = _PARENT_NAMES.get(parent)
        if parent is not None:
            bones.append((joints.index(parent), child))
    return tuple(bones)


def find_finger(joint: str) -> str | None:
    """Find the finger that a joint is of, by its name or its parent's; None where it is of none."""
    name: str | None = joint
    while name is not None:
        for finger in _FINGER_NAMES:
            if finger in name:
                return finger
        name = _PARENT_NAMES.get(name)
    return None


def _check_joints(joints: Any, n_joints: int | str) -> np.ndarray:
    return check_numbers(
        joints, "joints", (n_joints, "n_dims"), leading=True, allow_nan=True, keep_single=True
    )


def convert(
    joints: np.ndarray, source: str | Layout, target: str | Layout, *, palm_to_wrist: str = "ring"
) -> np.ndarray:
    """Convert joints from one layout into another, by name.

    A joint that the source lacks is derived where a definition exists, else it is NaN:

    - ``"palm"`` is the mean of the wrist and the middle MCP.
    - ``"wrist"`` is extrapolated from a palm centre, through it and away from an MCP.
    - The points of ICVL are points of NYU's 36, as the published experiments of LSPS (Abdi et al. 2018) pair
      them: the palm is PALM_5; a finger's root, mid and tip are the ends KNU1_A, KNU2_A and KNU3_A of its
      segments. The hand has the same shape, but ICVL's is smaller, 0.64 times as large in mm.

    The first two are not inverse to each other: the palm centre that STB marks is not exactly half way.

    Parameters
    ----------
    joints : ndarray of shape (..., n_source_joints, n_dims), mm or px
        Joints in the source's order.
    source, target : str or Layout
        Layouts, or their names in `LAYOUTS`.
    palm_to_wrist : {"ring", "middle"}, default="ring"
        ``"ring"``: ``ring_mcp + 2.0 * (palm - ring_mcp)``;
        ``"middle"``: ``middle_mcp + 2.2 * (palm - middle_mcp)``. Used only where the source has a
        palm and no wrist.

    Returns
    -------
    converted : ndarray of shape (..., n_target_joints, n_dims), same unit
        NaN where the source neither has a joint nor defines it. float32 stays float32, other numbers
        become float64.

    Raises
    ------
    InputError
        If a layout is unknown, ``joints`` has not as many joints as the source, or one is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.skeleton import convert, joint_index
    >>> hand = np.random.default_rng(0).normal(size=(1, 21, 3))
    >>> rhd = convert(hand, "canonical", "rhd")
    >>> bool((rhd[:, 1] == hand[:, joint_index("thumb_tip")]).all())
    True
    """
    source, target = resolve_layout(source, "source"), resolve_layout(target, "target")
    check_option(palm_to_wrist, "palm_to_wrist", ("ring", "middle"))
    joints = _check_joints(joints, len(source))
    known = {name: joints[..., i, :] for i, name in enumerate(source.joints)}
    if "palm" not in known and {"wrist", "middle_mcp"} <= known.keys():
        known["palm"] = (known["wrist"] + known["middle_mcp"]) / 2
    if "wrist" not in known and {"palm", f"{palm_to_wrist}_mcp"} <= known.keys():
        base, factor = known[f"{palm_to_wrist}_mcp"], {"ring": 2.0, "middle": 2.2}[palm_to_wrist]
        known["wrist"] = base + factor * (known["palm"] - base)
    if set(_ICVL_OF_NYU.values()) <= known.keys():
        known |= {name: known[point] for name, point in _ICVL_OF_NYU.items()}
    missing = np.full_like(joints[..., 0, :], np.nan)
    return np.stack([known.get(name, missing) for name in target.joints], axis=-2)


def root_position(joints: np.ndarray, root: str | int = "palm") -> np.ndarray:
    """Return the position of the root that poses are taken relative to.

    Parameters
    ----------
    joints : ndarray of shape (..., 21, n_dims), mm or px
        Joints in canonical order; any number of joints where ``root`` is an index.
    root : str or int, default="palm"
        A joint's name, its index, or ``"palm"``: half way between the wrist and the middle MCP.

    Returns
    -------
    position : ndarray of shape (..., n_dims), same unit
        NaN where a joint that defines it is NaN.

    Raises
    ------
    InputError
        If the root is unknown, ``joints`` are not 21 or one is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.skeleton import root_position
    >>> joints = np.zeros((1, 21, 3))
    >>> joints[0, 9] = [0.0, -90.0, 500.0]  # the middle MCP
    >>> root_position(joints)
    array([[  0., -45., 250.]])
    """
    if isinstance(root, numbers.Integral) and not isinstance(root, bool):
        joints = _check_joints(joints, "n_joints")
        if not 0 <= root < joints.shape[-2]:
            raise InputError(
                f"root: expected the index, from 0, of one of {joints.shape[-2]} joints, got {root}."
            )
        return joints[..., int(root), :]
    check_option(root, "root", ("palm", *JOINTS))
    joints = _check_joints(joints, len(JOINTS))
    if root == "palm":
        return (joints[..., 0, :] + joints[..., JOINTS.index("middle_mcp"), :]) / 2
    return joints[..., JOINTS.index(str(root)), :]
