"""Changes of the view: matrices, and tables whose camera and joints follow the picture's content."""

from __future__ import annotations

import numpy as np
import pytest

from skhand import HandFrames
from skhand.exceptions import InputError
from skhand.geometry import (
    affine_crop,
    affine_mirror,
    affine_rotate,
    apply_affine,
    project,
    rotate_points,
    rotation_z,
    transform_camera,
)
from skhand.preprocessing import HandCropper, HandMirror, ViewAligner, warp_images

HEIGHT, WIDTH = 96, 128
N_HANDS, N_ROWS = 2, 7  # a hand is seen in seven rows, each of which shows three joints


@pytest.fixture
def frames(rng):
    """Two left hands in seven rows each: the colours of row k are blobs where joints 3 k to 3 k + 2 are."""
    camera = np.array([[300.0, 0.0, 70.0], [0.0, 280.0, 40.0], [0.0, 0.0, 1.0]])
    pose3d = rng.uniform((-50, -12, 480), (50, 45, 540), size=(N_HANDS, 21, 3)).repeat(N_ROWS, axis=0)
    keypoints2d = project(pose3d, camera)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([columns, rows], axis=-1)[None, :, :, None]
    blobs = np.exp(-((pixels - shown(keypoints2d)[:, None, None]) ** 2).sum(-1) / (2 * 2.0**2))
    corner = keypoints2d.min(axis=1)
    return HandFrames(
        rgb=blobs,
        camera=camera,
        pose3d=pose3d,
        root=pose3d[:, 9],
        keypoints2d=keypoints2d,
        side="left",
        box=np.concatenate([corner, keypoints2d.max(axis=1) - corner], axis=1),
    )


def shown(points):
    """The three joints (n, 3, ...) that each row's picture shows."""
    return points.reshape(N_HANDS, N_ROWS, N_ROWS, 3, -1)[:, range(N_ROWS), range(N_ROWS)].reshape(
        N_HANDS * N_ROWS, 3, -1
    )


def blob_centres(rgb):
    """Centre of mass of each channel, px."""
    rows, columns = np.mgrid[: rgb.shape[1], : rgb.shape[2]]
    mass = rgb.sum((1, 2))
    return np.stack([(rgb * axis[..., None]).sum((1, 2)) / mass for axis in (columns, rows)], axis=-1)


def each_hand(*values):
    """One value a hand as one a row."""
    return np.repeat(np.array(values), N_ROWS, axis=0)


def crop(frames, box, size):
    """Cut one box, or one a row, out: HandCropper rounds it to whole pixels."""
    boxes = np.array(np.broadcast_to(box, (len(frames), 4)), dtype=float)
    cropper = HandCropper(size, source="box", margin=1.0, square=False)
    return cropper.fit_transform(frames.replace(box=boxes))


def warp(frames, affine, size, turn=None):
    """Change a table by the functions alone."""
    affine = np.array(np.broadcast_to(affine, (len(frames), 3, 3)))
    new = (
        {}
        if turn is None
        else {name: rotate_points(getattr(frames, name), turn) for name in ("pose3d", "root")}
    )
    before = np.eye(3) if frames.affine is None else frames.affine
    return frames.replace(
        rgb=warp_images(frames.rgb, affine, size),
        camera=transform_camera(frames.camera, affine, turn),
        keypoints2d=apply_affine(affine, frames.keypoints2d),
        affine=affine @ before,
        **new,
    )


def rotate(frames, degrees, centre=None):
    """Turn the pictures in their plane, and the hands about the optical axis with them."""
    height, width = frames.rgb.shape[1:3]
    centre = ((width - 1) / 2, (height - 1) / 2) if centre is None else centre
    turn = np.broadcast_to(rotation_z(degrees), (len(frames), 3, 3))
    return warp(frames, affine_rotate(degrees, centre), (height, width), turn)


def mirror(frames):
    return HandMirror(to="right").fit_transform(frames)


CHANGES = {
    "crop, smaller": lambda frames: crop(frames, (2.3, -14.6, 130.0, 130.0), 100),
    "crop, larger": lambda frames: crop(
        frames, each_hand((0, -10, 128, 110), (5.5, -3, 128, 100)), (170, 220)
    ),
    "crop, oblong": lambda frames: crop(frames, (-10, -20, 150, 130), (120, 200)),
    "crop between pixels": lambda frames: warp(
        frames, affine_crop((2.3, -14.6, 130.0, 130.0), 100), (100, 100)
    ),
    "rotate": lambda frames: rotate(crop(frames, (-60, -60, 220, 220), 220), each_hand(25.0, -170.0)),
    "rotate about a pixel": lambda frames: rotate(crop(frames, (-80, -80, 260, 260), 260), 40.0, (120, 150)),
    "mirror": mirror,
    "align": lambda frames: ViewAligner().fit_transform(crop(frames, (-60, -60, 220, 220), 220)),
    "all": lambda frames: mirror(rotate(crop(frames, (-60, -60, 230, 230), 180), each_hand(80.0, -30.0))),
}


@pytest.mark.parametrize("change", CHANGES)
def test_joints_stay_on_the_picture(change, frames):
    np.testing.assert_allclose(blob_centres(frames.rgb), shown(frames.keypoints2d), atol=0.02)
    changed = CHANGES[change](frames)
    centres = blob_centres(changed.rgb)
    assert np.abs(centres - shown(frames.keypoints2d)).max() > 5
    assert np.abs(centres - shown(changed.keypoints2d)).max() < 0.1
    np.testing.assert_allclose(project(changed.pose3d, changed.camera), changed.keypoints2d, atol=1e-9)
    np.testing.assert_allclose(
        apply_affine(changed.affine, frames.keypoints2d), changed.keypoints2d, atol=1e-9
    )
    np.testing.assert_allclose(changed.root, changed.pose3d[:, 9], atol=1e-12)


@pytest.mark.parametrize(
    "change",
    ["crop, smaller", "crop, oblong", "crop between pixels", "rotate about a pixel", "mirror", "align"],
)
def test_one_row_alone_is_changed_as_among_others(change, frames):
    together, alone = CHANGES[change](frames), CHANGES[change](frames[0])
    for name in ("rgb", "camera", "pose3d", "root", "keypoints2d", "affine"):
        np.testing.assert_allclose(
            getattr(alone, name)[0], getattr(together, name)[0], atol=1e-9, err_msg=name
        )


def test_a_mirror_changes_side_and_sign_and_twice_is_nothing(frames):
    assert HandMirror().fit_transform(HandFrames(depth=np.zeros((1, 4, 4)), side="left")).side == ["right"]
    mirrored = HandMirror(to="right").fit_transform(frames)
    np.testing.assert_allclose(mirrored.pose3d, frames.pose3d * (-1, 1, 1))
    np.testing.assert_allclose(mirrored.camera[0], [[300, 0, 57], [0, 280, 40], [0, 0, 1]], atol=1e-12)
    twice = HandMirror(to="left").fit_transform(mirrored)
    assert (set(mirrored.side), set(twice.side)) == ({"right"}, {"left"})
    np.testing.assert_allclose(twice.camera, frames.camera, atol=1e-12)
    np.testing.assert_array_equal(twice.rgb, frames.rgb)


def test_a_crop_leaves_space_alone_and_a_turn_keeps_distances(frames):
    cropped = crop(frames, (10, 10, 50, 50), 64)
    assert cropped.pose3d is frames.pose3d
    np.testing.assert_array_equal(cropped.side, frames.side)
    for turned in (rotate(frames, each_hand(10.0, 77.0)), ViewAligner().fit_transform(frames)):
        norms = (np.linalg.norm(table.pose3d, axis=-1) for table in (turned, frames))
        np.testing.assert_allclose(*norms)
    turned = rotate(frames, each_hand(10.0, 77.0))
    np.testing.assert_allclose(turned.pose3d[..., 2], frames.pose3d[..., 2])


def test_transformers_take_and_give_each_other_s_tables(rng):
    frames = HandFrames(
        rgb=rng.integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8),
        camera=np.diag([500.0, 500.0, 1.0]),
        side="left",
    )
    back = mirror(crop(frames, (10, 10, 40, 40), 32))
    assert back.rgb.shape == (2, 32, 32, 3)
    assert back.side.tolist() == ["right", "right"]


def test_affines_by_hand():
    crop = affine_crop((10, 20, 40, 80), (160, 120))
    np.testing.assert_allclose(
        apply_affine(crop, [[10, 20], [50, 100], [30, 60]]), [[-0.5, -0.5], [119.5, 159.5], [59.5, 79.5]]
    )
    np.testing.assert_allclose(
        apply_affine(affine_rotate(90, (5, 5)), [[6, 5], [5, 5]]), [[5, 6], [5, 5]], atol=1e-12
    )
    np.testing.assert_allclose(apply_affine(affine_mirror(10), [[0, 3], [9, 4]]), [[9, 3], [0, 4]])
    many = affine_rotate([90, 180], [(5, 5), (1, 1)])
    np.testing.assert_allclose(apply_affine(many, [[[6, 5]], [[2, 1]]]), [[[5, 6]], [[0, 1]]], atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: affine_crop((0, 0, 0, 10), 8), "box: .*width and height > 0"),
        (lambda: affine_crop((0, np.nan, 5, 10), 8), "box: .*finite"),
        (lambda: affine_crop((0, 0, 5), 8), r"box: .*\(\.\.\., 4\)"),
        (lambda: affine_crop((0, 0, 5, 5), 0), "size: expected an integer >= 1"),
        (lambda: affine_crop((0, 0, 5, 5), (8, 8, 3)), "size: .*height, width"),
        (lambda: affine_crop((0, 0, 5, 5), (8,)), "size: .*height, width"),
        (lambda: affine_mirror(1.5), "width: expected an integer"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call()
