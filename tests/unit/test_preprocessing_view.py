"""ViewAligner: the hand's centre on the optical axis, and everything turned with it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.geometry import apply_affine, project, rotation_to_axis
from skhand.preprocessing import HandMirror, ViewAligner

N, SIZE = 10, 48
CAMERA = np.array([[80.0, 1.5, 30.0], [0.0, 75.0, 12.0], [0.0, 0.0, 1.0]])


@pytest.fixture(scope="module")
def frames():
    hands = make_hands(N, image_size=SIZE, random_state=0)
    return hands.data.replace(pose3d=hands.target)


@pytest.mark.parametrize("point", [(30.0, -40.0, 500.0), (0.0, 0.0, 1.0), (-900.0, 3.0, 20.0)])
def test_the_rotation_is_the_smallest_one(point):
    turn = rotation_to_axis(point)
    np.testing.assert_allclose(turn @ point, [0, 0, np.linalg.norm(point)], atol=1e-9)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    axis = np.cross(point, [0, 0, 1])
    angle = np.arctan2(np.linalg.norm(axis), point[2])
    vector = angle * axis / max(np.linalg.norm(axis), 1e-300)
    np.testing.assert_allclose(turn, Rotation.from_rotvec(vector).as_matrix(), atol=1e-12)


@pytest.mark.parametrize("point", ["root", "palm", "box", "index_tip"])
def test_the_centre_is_on_the_axis_and_in_the_middle(frames, point):
    aligned = ViewAligner(point=point).fit_transform(frames)
    middle = np.full(2, (SIZE - 1) / 2)
    if point == "root":
        norm = np.linalg.norm(frames.root, axis=1)
        np.testing.assert_allclose(aligned.root, norm[:, None] * [0, 0, 1], atol=1e-9)
        seen = project(aligned.root[:, None], aligned.camera)[:, 0]
    elif point == "box":
        centre = frames.box[:, :2] + frames.box[:, 2:] / 2
        seen = apply_affine(aligned.affine, centre[:, None])[:, 0]
    elif point == "palm":
        centre = (frames.keypoints2d[:, 0] + frames.keypoints2d[:, 9]) / 2
        seen = apply_affine(aligned.affine, centre[:, None])[:, 0]
    else:
        seen = aligned.keypoints2d[:, 8]
    np.testing.assert_allclose(seen, np.broadcast_to(middle, (N, 2)), atol=1e-6)


def test_poses_cameras_and_keypoints_stay_true(frames):
    aligned = ViewAligner().fit_transform(frames)
    pairs = zip(aligned.rotation, frames.pose3d, strict=True)
    turned = np.stack([Rotation.from_matrix(rotation).apply(pose) for rotation, pose in pairs])
    np.testing.assert_allclose(aligned.pose3d, turned, atol=1e-9)
    np.testing.assert_allclose(project(aligned.pose3d, aligned.camera), aligned.keypoints2d, atol=1e-6)
    np.testing.assert_allclose(aligned.camera[:, [0, 1], [0, 1]], frames.camera[:, [0, 1], [0, 1]])
    by_hand = np.einsum("nij,nkj->nki", aligned.affine, np.insert(frames.keypoints2d, 2, 1, axis=-1))
    np.testing.assert_allclose(by_hand[..., :2] / by_hand[..., 2:], aligned.keypoints2d, atol=1e-9)


def test_the_box_holds_the_moved_box_tightly(frames):
    aligned = ViewAligner().fit_transform(frames)
    along = np.linspace(0, 1, 201)
    edge = [(t, s) for t in along for s in (0, 1)] + [(s, t) for t in along for s in (0, 1)]
    inside = frames.box[:, None, :2] + frames.box[:, None, 2:] * np.array(edge)
    moved = apply_affine(aligned.affine, inside)
    np.testing.assert_allclose(moved.min(axis=1), aligned.box[:, :2], atol=1e-9)
    np.testing.assert_allclose(moved.max(axis=1), aligned.box[:, :2] + aligned.box[:, 2:], atol=1e-9)


def spots(points, size=SIZE):
    """One channel a point, a blob where it is."""
    v, u = np.mgrid[:size, :size]
    distance = (u - points[..., :1, None]) ** 2 + (v - points[..., 1:, None]) ** 2
    return np.exp(-distance / (2 * 1.5**2)).transpose(0, 2, 3, 1)


def test_the_picture_moves_as_the_joints_do(rng):
    pose = rng.uniform((-60, -60, 480), (60, 60, 520), (N, 3, 3)) + [30.0, 60.0, 0.0]
    points = project(pose, CAMERA)
    frames = HandFrames(rgb=spots(points), pose3d=pose, keypoints2d=points, camera=CAMERA, root=pose.mean(1))
    aligned = ViewAligner().fit_transform(frames)
    v, u = np.mgrid[:SIZE, :SIZE]
    mass = aligned.rgb.sum((1, 2))
    centres = np.stack([(aligned.rgb * axis[..., None]).sum((1, 2)) / mass for axis in (u, v)], axis=-1)
    assert np.abs(aligned.keypoints2d - points).max() > 5
    np.testing.assert_allclose(centres, aligned.keypoints2d, atol=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.float64])
def test_depth_is_measured_along_the_new_axis(dtype):
    """A tilted plane, seen by the old and by the new camera."""
    normal, distance = np.array([0.2, -0.3, 1.0]), 600.0
    root = np.array([[110.0, 90.0, 590.0]])

    def plane(camera, turn):
        v, u = np.mgrid[:SIZE, :SIZE]
        rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(camera).T
        return distance / (rays @ (turn @ normal))

    frames = HandFrames(depth=plane(CAMERA, np.eye(3))[None].astype(dtype), camera=CAMERA, root=root)
    aligned = ViewAligner().fit_transform(frames)
    assert aligned.depth.dtype == dtype
    wanted = plane(aligned.camera[0], aligned.rotation[0])
    seen = aligned.depth[0] > 0
    assert 0.3 < seen.mean() < 1
    assert np.abs(wanted - frames.depth[0])[seen].max() > 50
    assert np.abs(aligned.depth[0] - wanted)[seen].max() < 8  # the nearest pixel of a plane of 10 mm a pixel
    assert np.abs((aligned.depth[0] - wanted)[seen].mean()) < 0.5


def test_holes_in_depth_stay_holes(frames):
    depth = frames.depth.copy()
    depth[:, ::2], depth[:, 1::4] = 0, np.nan
    aligned = ViewAligner().fit_transform(frames.replace(depth=depth))
    known = aligned.depth[np.isfinite(aligned.depth) & (aligned.depth > 0)]
    assert np.isnan(aligned.depth).any()
    assert known.min() > 200


@pytest.mark.parametrize(
    "steps", [(ViewAligner(),), (HandMirror(), ViewAligner()), (ViewAligner(), HandMirror())]
)
def test_the_way_back(frames, steps):
    there = frames
    for step in steps:
        there = step.fit_transform(there)
    for step in reversed(steps):
        there = step.inverse_transform(there)
    assert "rgb" not in there.columns
    assert "rotation" not in there.columns
    for name in ("camera", "keypoints2d", "pose3d", "root"):
        np.testing.assert_allclose(getattr(there, name), getattr(frames, name), atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(there.side, frames.side)
    corner = frames.box[:, :2] + frames.box[:, 2:]
    assert (there.box[:, :2] <= frames.box[:, :2] + 1e-9).all()  # upright around a tilted one: it has grown
    assert (there.box[:, :2] + there.box[:, 2:] >= corner - 1e-9).all()


def test_lazy_pictures_stay_lazy_and_are_the_same(frames):
    lazy = make_hands(N, image_size=SIZE, random_state=0, lazy=True).data
    aligned, wanted = (ViewAligner().fit_transform(table) for table in (lazy, frames))
    for name in ("rgb", "depth", "mask"):
        column = getattr(aligned, name)
        assert not isinstance(column, np.ndarray)
        np.testing.assert_array_equal(column[[4, 1]], getattr(wanted, name)[[4, 1]])
        assert column.dtype == getattr(frames, name).dtype


def test_without_pictures_the_principal_point_stays(frames):
    aligned = ViewAligner().fit_transform(frames.replace(rgb=None, depth=None, mask=None))
    np.testing.assert_array_equal(aligned.camera, frames.camera)
    np.testing.assert_allclose(project(aligned.pose3d, aligned.camera), aligned.keypoints2d, atol=1e-6)


@pytest.mark.parametrize("point", ["root", "palm", "box"])
def test_rows_without_a_centre_look_at_their_box_or_at_the_picture_s_middle(frames, point):
    box, root, points = frames.box.copy(), frames.root.copy(), frames.keypoints2d.copy()
    box[[3, 4]] = np.nan
    root[[1, 3]] = np.nan
    root[[2, 4]] *= -1  # behind the camera
    points[[1, 2, 3, 4], 9] = np.nan
    some = frames.replace(box=box, root=root, keypoints2d=points)
    counts = {"root": "NaN in 2 and .* in 2 of", "palm": "NaN in 4 and .* in 0 of", "box": "NaN in 2 and"}
    told = f"{counts[point]}.* {0 if point == 'box' else 2} look at .* box instead, 2 at that of the picture"
    with pytest.warns(UserWarning, match=told):
        aligned = ViewAligner(point=point).fit_transform(some)
    whole = ViewAligner(point=point).fit_transform(frames)
    by_box = ViewAligner(point="box").fit_transform(frames)
    np.testing.assert_allclose(aligned.rotation[[0, *range(5, N)]], whole.rotation[[0, *range(5, N)]])
    np.testing.assert_allclose(aligned.rotation[[1, 2]], by_box.rotation[[1, 2]])
    middle = np.full((2, 1, 2), (SIZE - 1) / 2)
    np.testing.assert_allclose(apply_affine(aligned.affine[[3, 4]], middle), middle, atol=1e-9)
    bare = some.replace(rgb=None, depth=None, mask=None)
    with pytest.warns(UserWarning):
        np.testing.assert_allclose(
            ViewAligner(point=point).transform(bare).rotation[3], np.eye(3), atol=1e-12
        )


@pytest.mark.parametrize(
    ("aligner", "change", "message"),
    [
        (ViewAligner(), lambda X: X.replace(camera=None), "camera: X needs this column for point='root'"),
        (ViewAligner(), lambda X: X.replace(root=None), "root: X needs this column"),
        (ViewAligner(point="box"), lambda X: X.replace(box=None), "box: X needs this column"),
        (ViewAligner(point="palm"), lambda X: X.replace(keypoints2d=None), "keypoints2d: X needs"),
        (ViewAligner(point="nose"), lambda X: X, "point: expected one of"),
        (
            ViewAligner(point="palm"),
            lambda X: X.replace(keypoints2d=X.box.reshape(N, 2, 2)),
            "point: 'palm' n",
        ),
        (ViewAligner(), lambda X: X[[]], "X: expected at least 1 sample"),
        (ViewAligner(), lambda X: X.rgb, "X: expected a HandFrames"),
    ],
)
def test_bad_input_is_named(frames, aligner, change, message):
    with pytest.raises(InputError, match=message):
        aligner.fit(change(frames)).transform(change(frames))
