"""Cameras, pictures and poses as geometry: projection, crops, rotations, mirrors, alignment, bone lengths."""

from skhand.geometry._affine import affine_crop, affine_mirror, affine_rotate, apply_affine, warp_images
from skhand.geometry._align import align_root, align_scale, bone_length, bone_lengths, procrustes
from skhand.geometry._camera import backproject, project, rotation_z, transform_camera
from skhand.geometry._views import View, crop_view, mirror_view, rotate_view

__all__ = [
    "View",
    "affine_crop",
    "affine_mirror",
    "affine_rotate",
    "align_root",
    "align_scale",
    "apply_affine",
    "backproject",
    "bone_length",
    "bone_lengths",
    "crop_view",
    "mirror_view",
    "procrustes",
    "project",
    "rotate_view",
    "rotation_z",
    "transform_camera",
    "warp_images",
]
