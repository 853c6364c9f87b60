"""Augmentation of whole batches on the device: pictures, keypoints, poses, cameras and sides together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand._columns import widen_column
from skhand._validation import check_number, check_option
from skhand.exceptions import InputError
from skhand.training._runtime import constant
from skhand.training.modalities import MODALITIES, Motion

__all__ = ["augment_batch", "check_augment", "choose_augment", "frame_of", "widen_pictures"]

_OFF: dict[str, Any] = {
    "rotate": 0.0,
    "shift": 0.0,
    "zoom": 0.0,
    "flip": None,
    "colour": 0.0,
    "grey": 0.0,
    "depth": 0.0,
}

_TURN, _MOVE = {"rotate": 20.0, "colour": 0.3}, {"shift": 0.05, "zoom": 0.1}


def check_augment(
    augment: Mapping[str, Any] | str | None, paper: Mapping[str, Any] | None = None
) -> dict[str, Any] | None:
    """Return complete augmentation settings, or None for none.

    Parameters
    ----------
    augment : dict, "paper" or None
        Settings by name; what is left out is off. `skhand.training.choose_augment` says what "auto" is.
        ``rotate``: largest angle, degrees. ``shift``: largest shift, as a fraction of the picture's size.
        ``zoom``: sizes are drawn from 1 - zoom to 1 + zoom. ``flip``: "horizontal", "vertical" or None, each
        row with probability 0.5. ``colour``: strength of random brightness, contrast and colour balance, 0 to
        1. ``grey``: share of the rows that lose their colour, as in the pictures of infrared cameras.
        ``depth``: largest shift of the hand's cube along the optical axis, mm; it moves depth pictures
        that are taken relative to their own middle.
    paper : dict or None, default=None
        The settings that "paper" names, those of an estimator's paper.

    Returns
    -------
    settings : dict or None

    Raises
    ------
    InputError
        If a name is unknown or a value out of its range.

    Examples
    --------
    >>> from skhand.training import check_augment
    >>> check_augment({"rotate": 30, "flip": "horizontal"})
    {'rotate': 30, 'shift': 0.0, 'zoom': 0.0, 'flip': 'horizontal', 'colour': 0.0, 'grey': 0.0, 'depth': 0.0}
    """
    if augment is None:
        return None
    if isinstance(augment, str) and augment == "paper" and paper is not None:
        return {**_OFF, **paper}
    if not isinstance(augment, Mapping):
        raise InputError(f"augment: expected 'auto', 'paper', None or a dict, got {augment!r}.")
    unknown = set(augment) - set(_OFF)
    if unknown:
        raise InputError(
            f"augment: expected the names {', '.join(_OFF)}; got {', '.join(map(repr, unknown))}."
        )
    settings = {**_OFF, **augment}
    check_number(settings["rotate"], "augment['rotate']", low=0, high=180)
    check_number(settings["shift"], "augment['shift']", low=0, high=1)
    check_number(settings["zoom"], "augment['zoom']", low=0, high=0.9)
    check_number(settings["colour"], "augment['colour']", low=0, high=1)
    check_number(settings["grey"], "augment['grey']", low=0, high=1)
    check_number(settings["depth"], "augment['depth']", low=0, high=1000)
    check_option(settings["flip"], "augment['flip']", [None, "horizontal", "vertical"])
    return None if settings == _OFF else settings


def choose_augment(side: Any = None, *, places: bool = True) -> dict[str, Any]:
    """Return the settings that ``augment="auto"`` stands for, for pictures of hands with poses.

    They are small: rotation within 20 degrees, shift within 0.05 of the picture's size, zoom from 0.9 to 1.1,
    colour of strength 0.3; and a horizontal flip where both sides occur, so that one-sided data stay so.

    Parameters
    ----------
    side : array-like of int, or None, default=None
        The training rows' sides, 0 for left and 1 for right; None where they are not known.
    places : bool, default=True
        Whether a hand's place and size in the picture may change without its pose: so it is with the root
        given. Otherwise shift and zoom are left out.

    Returns
    -------
    settings : dict
        Complete, as from `check_augment`.

    Examples
    --------
    >>> from skhand.training import choose_augment
    >>> choose_augment([0, 1, 1])["flip"], choose_augment([1, 1])["flip"]
    ('horizontal', None)
    """
    both = side is not None and len(np.unique(np.asarray(side))) > 1
    return {**_OFF, **_TURN, **(_MOVE if places else {}), "flip": "horizontal" if both else None}


def augment_batch(
    batch: dict[str, Tensor], settings: Mapping[str, Any], generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """Move every row of a batch by its own random rotation, shift, zoom and flip.

    With the picture's map A and the pose's map R (a rotation about the optical axis and a mirror), poses
    become R X, roots R X, keypoints A p and cameras A K R^-1, so that the new camera projects the new joints
    onto the new picture exactly, whatever the principal point. A flip toggles the side. Depths stay what they
    were: how far each row's cube moves along the optical axis is only drawn here, for the depth's codec.

    Parameters
    ----------
    batch : dict of str to Tensor
        Columns as they are fetched: those of `skhand.training.modalities`, ``root`` (n, 3) mm, ``camera``
        (n, 3, 3) px, ``side`` (n,) with 0 for left and 1 for right. Any other column is passed on.
    settings : dict
        From `check_augment`.
    generator : torch.Generator or None, default=None
        Source of random numbers, on the batch's device; None is torch's own.

    Returns
    -------
    batch : dict of str to Tensor
        The moved columns; ``rgb`` becomes float in 0..1, mid-grey where the picture does not reach. It
        reaches further where `widen_pictures` gave it a border. With
        ``depth`` among columns and settings, also ``depth_shift`` (n,) mm.
    """
    moved = dict(batch)
    n = len(next(iter(batch.values())))
    device = next(iter(batch.values())).device
    centre, extent = _find_frame(batch, settings.get("border", 0), device)
    motion = _draw(n, settings, centre, extent, device, generator)
    for name, record in MODALITIES.items():
        if name in batch and frame_of(name) in batch:
            frame = moved.pop(frame_of(name))
            height, width = (size - 2 * settings["border"] for size in batch[name].shape[1:3])
            from_wide = motion._replace(affine=motion.affine @ frame, size=(height, width))
            moved.update(record.move(batch[name], from_wide))
        elif name in batch:
            moved.update(record.move(batch[name], motion))
    if "root" in batch:
        moved["root"] = (motion.turn.to(batch["root"].dtype) @ batch["root"][:, :, None]).squeeze(2)
    if "camera" in batch:
        camera = batch["camera"].double()
        moved["camera"] = motion.affine.double() @ camera @ motion.turn.double().mT
    if "side" in batch:
        moved["side"] = torch.where(motion.flipped, 1 - batch["side"], batch["side"])
    return moved


def frame_of(name: str) -> str:
    """Return the name of the column that says where a picture lies in a wider one; see `widen_pictures`."""
    return f"{name}_frame"


def widen_pictures(
    columns: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Let crops reach as far as the augmentation moves them, where the larger picture is there.

    What moves into a picture is then what lies beside it, as if the hand's moved box had been cropped again
    (Spurr et al. 2018, Sec. 7.1), and no grey.

    Parameters
    ----------
    columns : mapping of str to array-like
        Columns to train on.
    settings : mapping
        From `check_augment`.

    Returns
    -------
    columns : dict
        With wider pictures, and `frame_of` each: (n_samples, 3, 3) px, their pixels to those of the crop.
    settings : dict
        With ``border``, px: how much wider pictures are on each side.
    """
    pictures = [name for name, record in MODALITIES.items() if record.is_image and name in columns]
    border = max((_find_reach(settings, columns[name].shape[1:3]) for name in pictures), default=0)
    wide = dict(columns)
    for name in pictures if border else ():
        wider = widen_column(columns[name], border)
        if wider is not None:
            wide[name], wide[frame_of(name)] = wider
    return wide, {**settings, "border": border}


def _find_reach(settings: Mapping[str, Any], size: Sequence[int]) -> int:
    """Return how far outside of a picture, px, its moved frame can reach; at most the picture's size."""
    extent = np.array(size[::-1], dtype=np.float64)
    corner = (0.5 + settings["shift"]) * extent
    angles = np.deg2rad(np.linspace(0, settings["rotate"], 91))
    cos, sin = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    reach = np.array([cos * corner[0] + sin * corner[1], cos * corner[1] + sin * corner[0]]).max(axis=1)
    reach = reach / max(1 - settings["zoom"], 1e-6) - extent / 2
    return int(min(np.ceil(reach.max()), max(size)))


def _find_frame(batch: Mapping[str, Tensor], border: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Centre and extent (px) that shift and rotation refer to: the picture's, or else the keypoints'."""
    for name, record in MODALITIES.items():
        if record.is_image and name in batch:
            height, width = batch[name].shape[1:3]
            if frame_of(name) in batch:
                height, width = height - 2 * border, width - 2 * border
            size = constant(np.array([width, height]), torch.float32, device)
            return (size - 1) / 2, size
    if "keypoints2d" in batch:
        points = batch["keypoints2d"].float()
        unknown = torch.isnan(points)
        low = points.masked_fill(unknown, torch.inf).amin(dim=1)
        high = points.masked_fill(unknown, -torch.inf).amax(dim=1)
        centre = ((low + high) / 2).nan_to_num(0.0)  # NaN where a row has no known keypoint
        return centre, (high - low).amax(dim=1, keepdim=True).clamp_min(0.0)
    return constant(np.zeros(2), torch.float32, device), constant(np.ones(2), torch.float32, device)


def _draw(
    n: int,
    settings: Mapping[str, Any],
    centre: Tensor,
    extent: Tensor,
    device: torch.device,
    generator: torch.Generator | None,
) -> Motion:
    """Draw how each of n rows moves."""
    numbers = torch.rand(5, n, generator=generator, device=device, dtype=torch.float32)
    angle, zoom, across, down = 2 * numbers[:4] - 1
    angle = torch.deg2rad(settings["rotate"] * angle)
    zoom = 1 + settings["zoom"] * zoom
    shift = settings["shift"] * torch.stack([across, down], dim=1) * extent
    flipped = numbers[4] < (0.5 if settings["flip"] else 0.0)
    sign = torch.where(flipped, -1.0, 1.0).float()
    one = torch.ones_like(sign)
    mirror = torch.stack([sign, one] if settings["flip"] == "horizontal" else [one, sign], dim=1)
    cos, sin = torch.cos(angle), torch.sin(angle)
    plane = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1) * mirror[:, None, :]
    turn = constant(np.eye(3), torch.float32, device).repeat(n, 1, 1)
    turn[:, :2, :2] = plane
    affine = constant(np.eye(3), torch.float32, device).repeat(n, 1, 1)
    affine[:, :2, :2] = zoom[:, None, None] * plane
    centre = centre.expand(n, 2)
    affine[:, :2, 2] = centre + shift - (affine[:, :2, :2] @ centre[:, :, None]).squeeze(2)
    return Motion(affine, turn, flipped, settings, generator)
