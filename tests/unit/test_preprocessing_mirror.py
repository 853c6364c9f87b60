"""HandMirror: an exact mirror of the rows of one side, and back."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.exceptions import InputError
from skhand.geometry import project
from skhand.preprocessing import HandMirror

N, SIZE = 12, 24


@pytest.fixture(scope="module")
def hands():
    return make_hands(N, image_size=SIZE, random_state=0)


@pytest.fixture(scope="module")
def frames(hands):
    return hands.data.replace(pose3d=hands.target)


@pytest.fixture(scope="module")
def lazy():
    return make_hands(N, image_size=SIZE, random_state=0, lazy=True)


def same(first, second):
    """All columns of two tables are equal."""
    assert first.columns == second.columns
    for name in first.columns:
        values = [np.asarray(getattr(table, name)) for table in (first, second)]
        if values[0].dtype.kind == "f":
            np.testing.assert_allclose(*values, atol=1e-9, err_msg=name)
        else:
            np.testing.assert_array_equal(*values, err_msg=name)


@pytest.mark.parametrize("to", ["left", "right"])
def test_rows_of_the_other_side_are_mirrored_exactly(frames, to):
    mirrored = HandMirror(to=to).fit_transform(frames)
    rows = np.flatnonzero(frames.side != to)
    assert 0 < len(rows) < N
    assert (mirrored.side == to).all()
    for name in ("rgb", "depth", "mask"):
        np.testing.assert_array_equal(getattr(mirrored, name)[rows], getattr(frames, name)[rows][:, :, ::-1])
    for name in ("pose3d", "root"):
        np.testing.assert_allclose(getattr(mirrored, name)[rows], getattr(frames, name)[rows] * (-1, 1, 1))
    u, v = np.moveaxis(frames.keypoints2d[rows], -1, 0)
    np.testing.assert_allclose(mirrored.keypoints2d[rows], np.stack([SIZE - 1 - u, v], axis=-1))
    camera = frames.camera[rows] * [[1, -1, -1], [1, 1, 1], [1, 1, 1]] + [[0, 0, SIZE - 1], [0] * 3, [0] * 3]
    np.testing.assert_allclose(mirrored.camera[rows], camera)
    box, old = mirrored.box[rows], frames.box[rows]
    np.testing.assert_allclose(box[:, 0] + box[:, 2], SIZE - 1 - old[:, 0])
    np.testing.assert_allclose(box[:, 1:], old[:, 1:])
    np.testing.assert_allclose(project(mirrored.pose3d, mirrored.camera), mirrored.keypoints2d)
    assert np.linalg.det(mirrored.rotation[rows]) == pytest.approx(-1)


def test_rows_of_the_side_itself_stay(frames):
    mirrored = HandMirror().fit_transform(frames)
    rows = np.flatnonzero(frames.side == "right")
    same(mirrored[rows].replace(affine=None, rotation=None), frames[rows])
    np.testing.assert_array_equal(mirrored.rotation[rows], np.broadcast_to(np.eye(3), (len(rows), 3, 3)))


def test_generated_left_hands_become_the_right_ones_they_mirror():
    left = make_hands(5, image_size=SIZE, side="left", random_state=3).data
    right = make_hands(5, image_size=SIZE, side="right", random_state=3).data
    same(HandMirror().fit_transform(left).replace(affine=None, rotation=None), right)


def test_the_way_back_is_exact(frames):
    mirrored = HandMirror().fit_transform(frames)
    same(HandMirror().inverse_transform(mirrored).replace(affine=None, rotation=None), frames)
    same(HandMirror().inverse_transform(frames), frames)


def test_lazy_pictures_stay_lazy_and_are_the_same(lazy, frames):
    mirrored = HandMirror().fit_transform(lazy.data)
    wanted = HandMirror().fit_transform(frames)
    again = pickle.loads(pickle.dumps(mirrored))
    for table in (mirrored, again, mirrored[::2]):
        assert not isinstance(table.rgb, np.ndarray)
    for name in ("rgb", "depth", "mask"):
        np.testing.assert_array_equal(getattr(mirrored, name)[:], getattr(wanted, name))
        np.testing.assert_array_equal(getattr(again, name)[[7, 1]], getattr(wanted, name)[[7, 1]])
        np.testing.assert_array_equal(getattr(mirrored[3:6], name)[1], getattr(wanted, name)[4])
    assert mirrored.rgb[np.array([2]), ...].shape == (1, SIZE, SIZE, 3)
    assert mirrored.rgb[-1].shape == (SIZE, SIZE, 3)


def test_a_subset_of_pictures_in_memory_is_mirrored_at_once(frames):
    some = HandMirror().fit_transform(frames[[5, 2, 9]])
    assert isinstance(some.rgb, np.ndarray)
    np.testing.assert_array_equal(some.rgb, HandMirror().fit_transform(frames).rgb[[5, 2, 9]])


def test_memory_maps_are_not_copied(tmp_path, frames):
    np.save(tmp_path / "rgb.npy", frames.rgb)
    mapped = frames.replace(rgb=np.load(tmp_path / "rgb.npy", mmap_mode="r"))
    mirrored = HandMirror().fit_transform(mapped)
    assert not isinstance(mirrored.rgb, np.ndarray)
    assert len(pickle.dumps(mirrored.rgb)) < 2000
    np.testing.assert_array_equal(mirrored.rgb[:], HandMirror().fit_transform(frames).rgb)


def test_without_pictures_the_width_is_asked_for(frames):
    plain = frames.replace(rgb=None, depth=None, mask=None)
    with pytest.raises(InputError, match="width: .*keypoints2d, box, camera"):
        HandMirror().fit_transform(plain)
    mirrored = HandMirror(width=SIZE).fit_transform(plain)
    np.testing.assert_array_equal(mirrored.keypoints2d, HandMirror().fit_transform(frames).keypoints2d)
    poses = HandFrames(pose3d=frames.pose3d, side=frames.side)
    assert HandMirror().fit_transform(poses).columns == ["pose3d", "side", "rotation"]


def test_unknown_joints_stay_unknown(frames):
    points, poses = frames.keypoints2d.copy(), frames.pose3d.copy()
    points[:, 4], poses[:, 4, 2] = np.nan, np.nan
    mirrored = HandMirror().fit_transform(frames.replace(keypoints2d=points, pose3d=poses))
    assert np.isnan(mirrored.keypoints2d[:, 4]).all()
    assert np.isnan(mirrored.keypoints2d).sum() == 2 * N
    assert np.isnan(mirrored.pose3d).sum() == N  # x and y of the joint are known


def test_one_sample(frames):
    one = HandMirror().fit_transform(frames[0])
    np.testing.assert_array_equal(one.keypoints2d, HandMirror().fit_transform(frames).keypoints2d[:1])


@pytest.mark.parametrize(
    ("mirror", "change", "message"),
    [
        (HandMirror(), lambda X: X.replace(side=None), "side: X needs this column"),
        (HandMirror(to="both"), lambda X: X, "to: expected one of"),
        (HandMirror(), lambda X: X.rgb, "X: expected a HandFrames"),
        (HandMirror(), lambda X: X[[]], "X: expected at least 1 sample"),
        (HandMirror(), lambda X: X.replace(depth=X.depth[:, ::2]), "X: .*of one size"),
    ],
)
def test_bad_input_is_named(frames, mirror, change, message):
    with pytest.raises(InputError, match=message):
        mirror.fit(change(frames)).transform(change(frames))
    clone(mirror)
