"""List what the reader of a score should know: the root, what differs from the paper, what looks wrong."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from skhand._doubts import list_bone_doubts
from skhand.geometry import bone_lengths
from skhand.metrics._compared import convert_poses
from skhand.metrics._protocols import Protocol, name_given
from skhand.metrics._published import PROTOCOLS
from skhand.skeleton import FINGERS, LAYOUTS, Layout

# wrist to thumb, as a share of wrist to the nearest finger: up to 0.76 in real sets, from 0.9 in other orders
_THUMB_SHARE = 0.85


def describe_root(protocol: Protocol, layout: Layout, rule: str | None) -> str:
    """Name the root, and where a palm or a wrist comes from that ``layout`` may lack."""
    if protocol.root == "palm":
        if "palm" in layout.joints:
            return "palm: the data set's own"
        if rule is not None:
            return f"palm: the data set's own, found again from the wrist by palm_to_wrist={rule!r}"
        return "palm: half way between wrist and middle MCP"
    if protocol.root == "wrist" and "wrist" not in layout.joints:
        return f"wrist: extrapolated from the data set's palm, palm_to_wrist={rule or 'ring'!r}"
    return protocol.root or "none"


def list_differences(
    protocol: Protocol,
    given: tuple[str, ...] | None,
    layout: Layout,
    rule: str | None,
    *,
    masked: bool,
    measured: bool,
) -> list[str]:
    """List in words what is not as in the protocol's paper."""
    out = []
    published = PROTOCOLS.get(protocol.name, protocol)
    for field in fields(protocol):
        mine, other = getattr(protocol, field.name), getattr(published, field.name)
        if mine != other:
            out.append(f"{field.name} is {mine!r}, not {protocol.name}'s own {other!r}")
    if protocol.given is not None and (given is None or set(given) != set(protocol.given)):
        here = "what was given is not stated" if given is None else f"given {name_given(given)}"
        out.append(f"{here}; the protocol's paper gives {name_given(protocol.given)}")
    marks_palm = any("palm" in known.joints for known in protocol.layouts)
    if "palm" in protocol.joints and marks_palm and "palm" not in layout.joints and rule is None:
        out.append(
            "the palm is not the data set's own: canonical joints of load_stb() need palm_to_wrist='ring', "
            "native ones layout='stb'"
        )
    if protocol.visible == "visible" and not masked:
        out.append("no visibility mask came: all labelled joints count, not the visible ones only")
    if protocol.scale == "mean_bones" and not measured:
        out.append("no mean_bones came: predictions keep their own size")
    return out


def list_doubts(true: np.ndarray, layout: Layout, protocol: Protocol) -> list[str]:
    """List what no hand looks like: bones of another unit, a thumb that starts as far off as the fingers."""
    if protocol.n_dims != 3 or protocol.unit != "mm":
        return []
    hands = convert_poses(true, layout, LAYOUTS["canonical"])
    lengths = bone_lengths(hands)
    if np.isnan(lengths).all():
        return []
    out = []
    typical = np.nanmedian(lengths)
    out += list_bone_doubts(hands, "truth")
    bases = lengths[:, [joints[0] - 1 for joints in FINGERS.values()]]
    bases = bases[np.isfinite(bases).all(axis=1)]
    if len(bases) and typical > 0:
        thumb, *others = np.median(bases, axis=0) / typical
        if thumb > _THUMB_SHARE * min(others):
            out.append(
                "the true thumb starts as far from the wrist as the fingers do, which is no hand's shape: "
                "are the joints in the order of the layout that is stated?"
            )
    return out


def list_notes(protocol: Protocol, n_rows: int) -> list[str]:
    """List what is worth knowing and no fault."""
    if not protocol.n_frames or n_rows in protocol.n_frames:
        return []
    return [f"{n_rows} rows; the whole test set has {' or '.join(map(str, protocol.n_frames))}"]
