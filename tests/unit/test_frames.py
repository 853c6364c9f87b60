"""HandFrames and ImageFiles: indexing like numpy, and pictures that stay where they are until asked for."""

from __future__ import annotations

import inspect
import pickle

import joblib
import numpy as np
import pytest
from sklearn.base import BaseEstimator, RegressorMixin, TransformerMixin
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline

from skhand import HandFrames, ImageFiles
from skhand.exceptions import CameraError, InputError

N, SIZE = 12, 6
CAMERA = np.array([[100.0, 0.0, 3.0], [0.0, 100.0, 3.0], [0.0, 0.0, 1.0]])


class CountingPictures:
    """Lazy pictures whose row i is filled with the number i; remembers how many rows were ever read."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, n=N):
        self.shape = (n, SIZE, SIZE, 3)
        self.rows_read = 0

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        rows = np.arange(len(self))[rows]
        self.rows_read += rows.size
        return np.broadcast_to(rows[..., None, None, None].astype(np.uint8), (*rows.shape, SIZE, SIZE, 3))


class PictureMean(RegressorMixin, BaseEstimator):
    """Predicts ``factor`` times the brightness, reading the pictures three rows at a time."""

    def __init__(self, factor=1.0):
        self.factor = factor

    def fit(self, X, y):
        self.n_rows_ = len(X)
        return self

    def predict(self, X):
        batches = [X[start : start + 3].rgb[:] for start in range(0, len(X), 3)]
        return self.factor * np.concatenate(batches).reshape(len(X), -1).mean(axis=1)


class PassOn(TransformerMixin, BaseEstimator):
    """Hands the table on unread."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X.replace(domain="seen")

    def __sklearn_is_fitted__(self):
        return True


def make_frames(rgb=None, **columns):
    """A small table whose columns all carry the row number."""
    number = np.arange(N)
    return HandFrames(
        rgb=CountingPictures() if rgb is None else rgb,
        keypoints2d=np.broadcast_to(number[:, None, None].astype(float), (N, 21, 2)),
        camera=CAMERA,
        side=np.where(number % 2, "left", "right"),
        scale=number.astype(float),
        **columns,
    )


INDICES = {
    "integer": 4,
    "negative integer": -1,
    "numpy integer": np.int64(3),
    "slice": slice(2, 9, 3),
    "reversed slice": slice(None, None, -1),
    "list": [5, 0, 5],
    "empty list": [],
    "index array": np.array([7, 1]),
    "boolean mask": np.arange(N) % 3 == 0,
    "list of booleans": [bool(i % 2) for i in range(N)],
    "index array and ellipsis": (np.array([2, 8]), Ellipsis),
    "range": range(3, 6),
}


@pytest.mark.parametrize("rows", INDICES.values(), ids=INDICES.keys())
def test_rows_are_chosen_as_numpy_chooses_them(rows):
    expected = np.atleast_1d(
        np.arange(N)[np.asarray(rows, int) if isinstance(rows, list) and not rows else rows]
    )
    subset = make_frames()[rows]
    assert len(subset) == len(expected) and subset.shape == (len(expected),)
    np.testing.assert_array_equal(subset.scale, expected)
    np.testing.assert_array_equal(subset.side, np.where(expected % 2, "left", "right"))
    np.testing.assert_array_equal(subset.keypoints2d[:, 0, 0], expected)
    np.testing.assert_array_equal(subset.rgb[:][:, 0, 0, 0], expected)
    np.testing.assert_array_equal(np.asarray(subset.rgb)[:, -1, -1, 2], expected)
    assert subset.camera.shape == (len(expected), 3, 3)


def test_indexing_twice_is_indexing_once_with_the_chosen_rows():
    subset = make_frames()[[9, 7, 5, 3]][::-1][np.array([True, False, True, True])]
    np.testing.assert_array_equal(subset.scale, [3, 7, 9])
    np.testing.assert_array_equal(subset.rgb[1:][:, 0, 0, 0], [7, 9])


@pytest.mark.parametrize("rows", [N, -N - 1, [0, N], np.ones(N + 1, bool)])
def test_rows_that_are_not_there_are_an_index_error(rows):
    with pytest.raises(IndexError):
        make_frames()[rows]


@pytest.mark.parametrize("rows", ["rgb", (0, 1), ([0], "rgb")])
def test_anything_but_rows_is_refused(rows):
    with pytest.raises(InputError, match="expected rows"):
        make_frames()[rows]


def test_one_value_for_all_rows_is_spread_over_them():
    frames = HandFrames(scale=np.arange(3.0), side="left", camera=CAMERA, domain="real")
    assert frames.side.tolist() == ["left"] * 3 and frames.domain.tolist() == ["real"] * 3
    np.testing.assert_array_equal(frames[1:].camera, np.stack([CAMERA, CAMERA]))


def test_missing_columns_are_none_and_unknown_ones_an_attribute_error():
    frames = HandFrames(scale=[70.0, 80.0])
    assert frames.rgb is None and frames[:1].camera is None and frames.columns == ["scale"]
    with pytest.raises(AttributeError, match="no column or attribute 'colour'"):
        _ = frames.colour


def test_replace_changes_the_named_columns_only():
    frames = make_frames()[4:8]
    changed = frames.replace(scale=frames.scale * 2, side=None, domain="real")
    np.testing.assert_array_equal(changed.scale, [8, 10, 12, 14])
    np.testing.assert_array_equal(changed.rgb[:][:, 0, 0, 0], [4, 5, 6, 7])
    assert changed.side is None and changed.domain.tolist() == ["real"] * 4
    np.testing.assert_array_equal(frames.scale, [4, 5, 6, 7])
    with pytest.raises(InputError, match="one length"):
        frames.replace(scale=np.ones(3))


BAD_COLUMNS = {
    "no column": ({}, "at least one column"),
    "only a value for all": ({"side": "left"}, "at least one column"),
    "lengths differ": ({"scale": np.ones(3), "root": np.ones((4, 3))}, "one length.*'scale': 3.*'root': 4"),
    "gray picture as rgb": ({"rgb": np.zeros((2, 8, 8), np.uint8)}, "rgb: expected shape .*colour picture"),
    "four channels": ({"rgb": np.zeros((2, 8, 8, 4), np.uint8)}, "rgb: expected shape"),
    "int64 picture": ({"rgb": np.zeros((2, 8, 8, 3), np.int64)}, "rgb: expected uint8 .* got dtype int64"),
    "colour as depth": ({"depth": np.zeros((2, 8, 8, 3))}, "depth: expected shape .*mm along z"),
    "3D as keypoints2d": ({"keypoints2d": np.zeros((2, 21, 3))}, "keypoints2d: expected shape .*px"),
    "2D as pose3d": ({"pose3d": np.zeros((2, 21, 2))}, "pose3d: expected shape .*mm"),
    "numbers as side": ({"side": np.zeros(2)}, "side: expected 'left' or 'right'"),
    "capital side": ({"side": ["Left", "right"]}, r"side: expected 'left' or 'right', got \['Left'\]"),
    "words as scale": ({"scale": ["a", "b"]}, "scale: expected numbers"),
    "root of two numbers": ({"root": np.zeros((2, 2))}, "root: expected shape"),
    "box of three numbers": ({"box": np.zeros((2, 3))}, "box: expected shape"),
}


@pytest.mark.parametrize("columns, message", BAD_COLUMNS.values(), ids=BAD_COLUMNS.keys())
def test_a_bad_column_is_named_in_the_error(columns, message):
    with pytest.raises(InputError, match=message):
        HandFrames(**columns)


@pytest.mark.parametrize(
    "camera", [np.eye(4), np.diag([np.nan, 1.0, 1.0]), np.diag([0.0, 1.0, 1.0]), np.diag([1.0, 1.0, 2.0])]
)
def test_what_is_no_camera_is_a_camera_error(camera):
    with pytest.raises(CameraError, match="camera: expected"):
        HandFrames(scale=np.ones(2), camera=camera)


def test_an_unknown_column_is_a_type_error():
    with pytest.raises(TypeError, match="colour"):
        HandFrames(colour=np.zeros((2, 8, 8, 3), np.uint8))


def test_a_table_is_not_an_array():
    with pytest.raises(InputError, match=r"take a column, for example X\.rgb"):
        np.asarray(make_frames())


def test_making_splitting_and_printing_read_no_picture():
    pictures = CountingPictures()
    frames = make_frames(pictures)
    train, test, y_train, y_test = train_test_split(frames, np.arange(N), test_size=4, random_state=0)
    assert repr(train) == "HandFrames of 8 hands: rgb (6, 6, 3) uint8, keypoints2d, camera, side, scale"
    assert train.rgb.shape == (8, SIZE, SIZE, 3) and len(test.rgb) == 4
    assert pictures.rows_read == 0
    np.testing.assert_array_equal(train.rgb[:][:, 0, 0, 0], y_train)
    np.testing.assert_array_equal(test.scale, y_test)
    assert pictures.rows_read == 8


def test_a_batch_reads_its_own_rows_only():
    pictures = CountingPictures()
    subset = make_frames(pictures)[::2]
    batch = subset.rgb[1:3]
    assert batch.dtype == np.uint8 and batch[:, 0, 0, 0].tolist() == [2, 4]
    assert pictures.rows_read == 2


def test_cross_val_predict_reads_each_picture_once():
    pictures = CountingPictures()
    predicted = cross_val_predict(PictureMean(), make_frames(pictures), np.arange(N), cv=KFold(4))
    np.testing.assert_array_equal(predicted, np.arange(N))
    assert pictures.rows_read == N


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_pipelines_and_grid_search_take_the_table(n_jobs):
    pictures = CountingPictures()
    pipeline = make_pipeline(PassOn(), PictureMean())
    grid = {"picturemean__factor": [0.5, 1.0]}
    search = GridSearchCV(pipeline, grid, cv=KFold(3), scoring="neg_mean_absolute_error", n_jobs=n_jobs)
    search.fit(make_frames(pictures), np.arange(float(N)))
    assert search.best_params_ == {"picturemean__factor": 1.0} and search.best_score_ == 0
    assert search.best_estimator_[-1].n_rows_ == N
    # by hand: half of |0.5 i - i|, averaged over each fold of four
    expected = -np.arange(N).reshape(3, 4).mean(axis=1).mean() / 2
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(expected)
    if n_jobs == 1:
        assert pictures.rows_read == 2 * N


@pytest.mark.parametrize("rows", [slice(None), [8, 3, 5]], ids=["whole", "subset"])
def test_pickle_keeps_rows_and_values(rows):
    rgb = np.random.default_rng(0).integers(0, 256, (N, SIZE, SIZE, 3), dtype=np.uint8)
    frames = make_frames(rgb, depth=np.arange(N * SIZE * SIZE, dtype=np.float32).reshape(N, SIZE, SIZE))[rows]
    again = pickle.loads(pickle.dumps(frames))
    assert again.columns == frames.columns and len(again) == len(frames)
    for name in frames.columns:
        np.testing.assert_array_equal(np.asarray(getattr(again, name)), np.asarray(getattr(frames, name)))
    np.testing.assert_array_equal(again[1:].scale, frames.scale[1:])


def test_joblib_keeps_every_column_to_the_last_bit(tmp_path):
    """As docs/datasets.rst says of what save_folder and save_rhd leave out."""
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3, 21, 2))
    points[1, 4] = np.nan
    columns = {
        "rgb": rng.integers(0, 256, (3, 8, 6, 3), dtype=np.uint8), "depth": rng.uniform(0, 900, (3, 8, 6)),
        "mask": rng.random((3, 8, 6)) > 0.5, "keypoints2d": points, "visible": rng.random((3, 21)) > 0.5,
        "pose3d": rng.normal(size=(3, 21, 3)), "table": rng.normal(size=(3, 5)),
        "camera": np.tile([[500.0, 2, 3], [0, 510, 4], [0, 0, 1]], (3, 1, 1)),
        "side": ["left", "right", "left"],
        "scale": rng.uniform(20, 40, 3), "root": rng.normal(size=(3, 3)), "box": rng.uniform(1, 5, (3, 4)),
        "affine": np.tile(2.0 * np.eye(3), (3, 1, 1)), "rotation": np.tile(np.eye(3), (3, 1, 1)),
        "domain": "real", "picture": [0, 0, 1], "score": [0.5, np.nan, 1],
    }  # fmt: skip
    frames = HandFrames(**columns)
    assert set(frames.columns) == set(columns) == set(inspect.signature(HandFrames).parameters)
    joblib.dump(frames, tmp_path / "hands.joblib")
    again = joblib.load(tmp_path / "hands.joblib")
    assert again.columns == frames.columns
    for name in frames.columns:
        before, after = np.asarray(getattr(frames, name)), np.asarray(getattr(again, name))
        assert before.dtype == after.dtype
        np.testing.assert_array_equal(before, after)


def test_a_pickled_subset_leaves_the_other_rows_behind():
    rgb = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    frames = HandFrames(rgb=rgb, scale=np.arange(200.0))
    one_row = rgb[0].nbytes
    assert len(pickle.dumps(frames[[3]])) < 2 * one_row
    assert len(pickle.dumps(frames)) > 200 * one_row


@pytest.mark.parametrize("rows", [slice(None), [8, 3, 5]], ids=["whole", "subset"])
def test_a_pickle_carries_a_memmaps_address_and_not_its_content(tmp_path, rows):
    stored = np.lib.format.open_memmap(tmp_path / "rgb.npy", "w+", np.uint8, (N, 64, 64, 3))
    stored[:] = np.arange(N, dtype=np.uint8)[:, None, None, None]
    stored.flush()
    frames = make_frames(np.load(tmp_path / "rgb.npy", mmap_mode="r"))[rows]
    expected = np.arange(N)[rows]
    for _ in range(2):
        pickled = pickle.dumps(frames)
        assert len(pickled) < 64 * 64 * 3
        frames = pickle.loads(pickled)
        np.testing.assert_array_equal(frames.rgb[:][:, 5, 5, 1], expected)
        np.testing.assert_array_equal(frames.scale, expected)
    np.testing.assert_array_equal(frames[::-1].rgb[:][:, 0, 0, 0], expected[::-1])


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_memmap_offset_order_and_slices_survive_a_pickle(tmp_path, mode):
    content = np.arange(N * SIZE * SIZE, dtype=np.float32).reshape(N, SIZE, SIZE)
    stored = np.memmap(tmp_path / "depth.bin", np.float32, "w+", 64, content.shape, "F")
    stored[:] = content
    stored.flush()
    mapped = np.memmap(tmp_path / "depth.bin", np.float32, mode, 64, content.shape, "F")
    for column, expected in ((mapped, content), (mapped[2:7], content[2:7])):
        again = pickle.loads(pickle.dumps(HandFrames(depth=column)))
        np.testing.assert_array_equal(again.depth, expected)


@pytest.fixture
def picture_files(tmp_path):
    """Twelve smooth pictures as JPEG files, and what they show."""
    image = pytest.importorskip("PIL.Image")
    ramp = np.linspace(0, 120, 32)
    pictures = np.empty((N, 24, 32, 3), np.uint8)
    pictures[..., 0], pictures[..., 1], pictures[..., 2] = ramp, 100, 10 * np.arange(N)[:, None, None]
    paths = [tmp_path / f"{i:02d}.jpg" for i in range(N)]
    for path, picture in zip(paths, pictures, strict=True):
        image.fromarray(picture).save(path, quality=95, subsampling=0)
    return paths, pictures


def test_jpeg_files_are_a_lazy_column(picture_files):
    paths, pictures = picture_files
    files = ImageFiles(paths)
    assert files.shape == pictures.shape and files.dtype == np.uint8 and len(files) == N
    frames = pickle.loads(pickle.dumps(HandFrames(rgb=files, scale=np.arange(float(N)))[::-1]))
    batch = frames[2:5].rgb[:]
    assert batch.shape == (3, 24, 32, 3)
    assert np.abs(batch.astype(int) - pictures[[9, 8, 7]]).max() <= 4
    np.testing.assert_array_equal(frames[2:5].scale, [9, 8, 7])
    assert files[3].shape == (24, 32, 3)


def test_gray_files_keep_sixteen_bits(tmp_path):
    image = pytest.importorskip("PIL.Image")
    depth = (np.arange(24 * 32, dtype=np.uint16) * 80).reshape(24, 32)
    image.fromarray(depth).save(tmp_path / "depth.png")
    files = ImageFiles([tmp_path / "depth.png"], gray=True)
    assert files.dtype == np.uint16
    np.testing.assert_array_equal(files[:], depth[None])
    np.testing.assert_array_equal(HandFrames(depth=files).depth[0], depth)


def test_bad_picture_files_are_named_in_the_error(picture_files, tmp_path):
    paths, _ = picture_files
    with pytest.raises(InputError, match="at least one file"):
        ImageFiles([])
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    for name in ("broken.jpg", "missing.jpg"):
        with pytest.raises(InputError, match=name):
            ImageFiles([tmp_path / name])
    image = pytest.importorskip("PIL.Image")
    image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "small.png")
    files = ImageFiles([paths[0], tmp_path / "small.png"])
    with pytest.raises(InputError, match=r"shape \(24, 32, 3\) .* got \(8, 8, 3\) in .*small\.png"):
        files[:]
