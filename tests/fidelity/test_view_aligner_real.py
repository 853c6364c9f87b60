"""Mirrored and aligned photographs: joints, cameras and pixels stay on each other."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import map_coordinates
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor

from skhand import HandFrames, ImageFiles
from skhand.geometry import align_root, project
from skhand.preprocessing import HandCropper, HandMirror, ViewAligner
from skhand.skeleton import root_position

EVERY = 20  # of 400 photographs of one hand


@pytest.fixture(scope="module")
def photos(real_data):
    folder = real_data / "real-rgb"
    with np.load(folder / "annotations.npz") as arrays:
        joints, camera = arrays["joints_mm"][::EVERY].astype(np.float64), arrays["K_crop"][::EVERY]
    files = sorted((folder / "images").glob("*.jpg"))[::EVERY]
    assert len(files) == len(joints)
    return HandFrames(
        rgb=ImageFiles(files),
        camera=camera,
        pose3d=joints,
        keypoints2d=project(joints, camera),
        root=(joints[:, 0] + joints[:, 9]) / 2,
        side="left",
    )


STEPS = {
    "view": [ViewAligner()],
    "mirror": [HandMirror()],
    "mirror, view": [HandMirror(), ViewAligner()],
    "view, mirror": [ViewAligner(), HandMirror()],
    "mirror, view, crop": [HandMirror(), ViewAligner(), HandCropper(128, margin=1.5)],
}


def transformed(frames, name):
    for step in STEPS[name]:
        frames = step.fit_transform(frames)
    return frames


@pytest.mark.parametrize("name", STEPS)
def test_projected_joints_follow(photos, name):
    seen = transformed(photos, name)
    assert not isinstance(seen.rgb, np.ndarray)
    np.testing.assert_allclose(project(seen.pose3d, seen.camera), seen.keypoints2d, atol=1e-6)
    lines = np.einsum("nij,nkj->nki", seen.affine, np.insert(photos.keypoints2d, 2, 1, axis=-1))
    np.testing.assert_allclose(lines[..., :2] / lines[..., 2:], seen.keypoints2d, atol=1e-6)
    turned = np.einsum("nij,nkj->nki", seen.rotation, photos.pose3d)
    np.testing.assert_allclose(turned, seen.pose3d, atol=1e-9)


def test_the_palm_comes_to_the_middle_of_the_photograph(photos):
    before = (photos.keypoints2d[:, 0] + photos.keypoints2d[:, 9]) / 2
    aligned = transformed(photos, "view")
    np.testing.assert_allclose(aligned.root[:, :2], 0, atol=1e-9)
    middle = project(aligned.root[:, None], aligned.camera)[:, 0]
    np.testing.assert_allclose(middle, 127.5, atol=1e-6)
    assert np.abs(before - 127.5).max() > 10


def sampled(picture, points):
    """Bilinear values of a picture at points (k, 2)."""
    return np.stack(
        [
            map_coordinates(channel.astype(float), points.T[::-1], order=1)
            for channel in picture.transpose(2, 0, 1)
        ]
    )


@pytest.mark.parametrize("name", ["view", "mirror", "mirror, view"])
def test_the_pixels_around_the_joints_follow(photos, name):
    seen = transformed(photos, name)
    offsets = np.stack(np.meshgrid(np.arange(-6, 7, 2.0), np.arange(-6, 7, 2.0)), axis=-1).reshape(-1, 2)
    errors, shifted = [], []
    for row in range(0, len(photos), 4):
        points = (photos.keypoints2d[row][:, None] + offsets).reshape(-1, 2)
        lines = np.insert(points, 2, 1, axis=-1) @ seen.affine[row].T
        there = lines[:, :2] / lines[:, 2:]
        inside = ((points > 2) & (points < 253) & (there > 2) & (there < 253)).all(axis=1)
        assert inside.mean() > 0.5
        old, new = photos.rgb[row], seen.rgb[row]
        wanted = sampled(old, points[inside])
        errors.append(np.abs(sampled(new, there[inside]) - wanted).mean())
        shifted.append(np.abs(sampled(new, there[inside] + 2) - wanted).mean())
    assert np.mean(errors) < 2.0  # grey levels: twice interpolated against once
    assert np.mean(shifted) > 2 * np.mean(errors)


@pytest.mark.parametrize("name", STEPS)
def test_the_way_back(photos, name):
    back = transformed(photos, name)
    for step in reversed(STEPS[name]):
        back = step.inverse_transform(back)
    for column in ("camera", "keypoints2d", "pose3d", "root"):
        np.testing.assert_allclose(getattr(back, column), getattr(photos, column), atol=1e-6, err_msg=column)
    assert (back.side == "left").all()


def test_aligned_views_of_one_side_tell_more_of_the_pose(real_data):
    """Neighbours in the picture are nearer in 3D once sides and views agree: RHD's poses, by k-NN."""
    with np.load(real_data / "poses" / "rhd_poses.npz") as rhd:
        sane = (rhd["joints_mm"][..., 2] > 50).all(axis=1)
        pose, camera, left = rhd["joints_mm"][sane].astype(np.float64), rhd["K"][sane], rhd["left"][sane]
    frames = HandFrames(
        pose3d=pose,
        keypoints2d=project(pose, camera),
        camera=camera,
        root=root_position(pose),
        side=np.where(left, "left", "right"),
    )
    mirrored = HandMirror(width=320).transform(frames)
    both = ViewAligner().transform(mirrored)
    plain, sided, viewed = (lifting_error(table) for table in (frames, mirrored, both))
    assert sided < 0.92 * plain
    assert viewed < 0.85 * sided


def lifting_error(frames):
    """Mean root-relative error, mm, of the poses of the five nearest hands in the picture."""
    points, poses = align_root(frames.keypoints2d), align_root(frames.pose3d)
    points = (points / np.linalg.norm(points, axis=(1, 2), keepdims=True)).reshape(len(points), -1)
    model = KNeighborsRegressor(5, weights="distance")
    lifted = cross_val_predict(model, points, poses.reshape(len(poses), -1), cv=KFold(5))
    return np.linalg.norm(lifted.reshape(poses.shape) - poses, axis=-1).mean()
