"""Cameras, pictures and poses as geometry: projection, crops, rotations, mirrors, alignment, bone lengths."""

from skhand.geometry._affine import affine_crop, affine_mirror, affine_rotate, apply_affine
from skhand.geometry._align import align_root, align_scale, bone_length, bone_lengths, procrustes
from skhand.geometry._camera import (
    backproject,
    project,
    rotate_points,
    rotation_to_axis,
    rotation_z,
    transform_camera,
)
from skhand.geometry._hand_frame import hand_axes
from skhand.geometry._scale import mean_bone_lengths, recover_scale
from skhand.geometry._two_and_a_half import Decoded25D, Encoded25D, decode_25d, encode_25d

__all__ = [
    "Decoded25D",
    "Encoded25D",
    "affine_crop",
    "affine_mirror",
    "affine_rotate",
    "align_root",
    "align_scale",
    "apply_affine",
    "backproject",
    "bone_length",
    "bone_lengths",
    "decode_25d",
    "encode_25d",
    "hand_axes",
    "mean_bone_lengths",
    "procrustes",
    "project",
    "recover_scale",
    "rotate_points",
    "rotation_to_axis",
    "rotation_z",
    "transform_camera",
]
