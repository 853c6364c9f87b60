"""HandDetector: pictures in, one row per hand out."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skhand._columns import LazyColumn, RowsOf, in_memory
from skhand._device import resolve_device
from skhand._pictures import is_pictures, iterate_pictures
from skhand._progress import progress
from skhand._validation import check_number, check_option, describe, read_array
from skhand._weights import load_weights
from skhand.detection._boxes import Found, read_maps
from skhand.detection._mediapipe import find_with_mediapipe
from skhand.detection._network import DetectorNet, normalise
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.nn import pack_convolutions
from skhand.preprocessing._base import StatelessTransformer
from skhand.preprocessing._crop import resize_antialiased
from skhand.training import resolve_precision

__all__ = ["HandDetector", "find_hands"]

_WEIGHTS = Path(__file__).parents[1] / "weights" / "hand_detector.safetensors"
_BATCH = 16
MOST_HANDS = 1000  # of one picture
_GREY = 127.5
# columns that belong to a picture, and not to a hand in it
_KEPT = ("rgb", "depth", "camera", "affine", "rotation", "domain")


class HandDetector(StatelessTransformer):
    """Find the hands in whole pictures.

    A transformer: pictures in, a table with one row a hand out, which `HandCropper` crops. Nothing is learned
    by ``fit``; a small network, trained on generated scenes (`make_scenes`), comes with the library.

    Parameters
    ----------
    threshold : float, default=0.3
        Least score of a hand, 0 to 1. Lower finds more hands, and more that are none. By the default, 80% of
        the hands of held-out generated scenes are found, and 86% of what is found are hands.
    max_hands : int, default=2
        Most hands a picture; the surest ones are kept; 1000 at most.
    overlap : float, default=0.5
        Largest intersection over union of the boxes of two hands of a picture; of two that overlap more, the
        surer one is kept.
    detector : {"skhand", "mediapipe"}, default="skhand"
        What finds them: the network that comes with the library, or MediaPipe Hands, which has to be
        installed: ``pip install "skhand[mediapipe]"`` and then ``pip install --no-deps mediapipe==0.10.21``,
        as it asks for an older numpy than it needs. Its boxes are those of its 21 landmarks, and ``overlap``
        is its own.
    weights : str, Path or None, default=None
        File of the network's weights, ``.safetensors`` with its ``.json``; None are those that come with the
        library. Only for ``detector="skhand"``.
    device : str, default="auto"
        Where the network runs; "auto" is a GPU if there is one.

    See Also
    --------
    skhand.preprocessing.HandCropper : Crops of the hands that were found.
    skhand.datasets.make_scenes : What the network was trained on.

    Notes
    -----
    A box is that of the 21 joints, about 8 mm wider on each side, as in `make_hands`: fingertips lie inside,
    the arm does not. It may reach beyond the picture. The network reads the whole picture with its longest
    side brought to 192 px, so hands of less than about 8% of that side are missed. Its ``side`` is hardly
    better than chance: `skhand.tracking.HandTracker` lets the pose network tell it. It computes in bfloat16
    where the hardware multiplies that natively, and else in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.detection import HandDetector
    >>> detector = HandDetector(threshold=0.6)
    >>> detector.get_params()["max_hands"]
    2
    """

    def __init__(
        self,
        threshold: float = 0.3,
        *,
        max_hands: int = 2,
        overlap: float = 0.5,
        detector: str = "skhand",
        weights: str | os.PathLike[str] | None = None,
        device: str = "auto",
    ):
        self.threshold = threshold
        self.max_hands = max_hands
        self.overlap = overlap
        self.detector = detector
        self.weights = weights
        self.device = device

    def fit(self, X: Any, y: Any = None) -> HandDetector:
        """Validate the parameters and X; nothing is learned.

        Parameters
        ----------
        X : array-like
            Pictures as for ``transform``.
        y : object, default=None
            Not used.

        Returns
        -------
        self : HandDetector
        """
        self._check()
        pictures, column = _as_pictures(X)
        if in_memory(column) and np.dtype(column.dtype).kind == "f":
            for i in range(len(pictures)):
                pictures[i]  # is checked as it is read
        return self

    def transform(self, X: Any) -> HandFrames:
        """Find the hands of each picture.

        Parameters
        ----------
        X : array-like of shape (n_pictures, height, width, 3) or (height, width, 3), HandFrames, or sequence
            Pictures, uint8 (0 to 255) or float (0 to 1): an array of one picture or several, a table with the
            column ``rgb``, or a sequence of pictures that may differ in size. A path, a PIL picture or a list
            of them too, each turned upright by its EXIF orientation.

        Returns
        -------
        hands : HandFrames
            One row a hand, by picture and falling score: ``rgb`` (the whole picture; no copy is made),
            ``box`` (px), ``side``, ``picture`` (which picture, from 0) and ``score``. Of a HandFrames,
            ``depth``, ``camera``, ``affine``, ``rotation`` and ``domain`` are kept. It has 0 rows where no
            hand is found.

        Raises
        ------
        InputError
            If a parameter or X is not what was expected, or MediaPipe is wanted and missing.
        """
        found, pictures, column = self._find(X)
        picture = np.repeat(np.arange(len(pictures)), [len(each.box) for each in found])
        joined = Found(*(torch.cat(each) for each in zip(*found, strict=True)))
        kept: dict[str, Any] = {"rgb": RowsOf(column, picture)}
        if isinstance(X, HandFrames):
            rows = X[picture]
            kept = {name: getattr(rows, name) for name in _KEPT if name in X.columns}
        return HandFrames(
            **kept,
            box=joined.box.numpy().astype(np.float64),
            side=np.where(joined.is_left.numpy(), "left", "right"),
            picture=picture,
            score=joined.score.numpy().astype(np.float64).clip(0.0, 1.0),
        )

    def predict(self, X: Any) -> list[np.ndarray]:
        """Find the boxes of the hands of each picture.

        Parameters
        ----------
        X : array-like of shape (n_pictures, height, width, 3) or (height, width, 3), HandFrames, or sequence
            Pictures as for ``transform``.

        Returns
        -------
        boxes : list of ndarray of shape (n_hands, 4), px
            One array a picture: x, y, width and height of each hand, the surest first.
        """
        return [each.box.numpy().astype(np.float64) for each in self._find(X)[0]]

    def _check(self) -> None:
        check_number(self.threshold, "threshold", low=0.0, high=1.0)
        check_number(self.max_hands, "max_hands", integer=True, low=1, high=MOST_HANDS)
        check_number(self.overlap, "overlap", low=0.0, high=1.0)
        check_option(self.detector, "detector", ("skhand", "mediapipe"))
        if self.weights is not None and not isinstance(self.weights, str | os.PathLike):
            raise InputError(f"weights: expected a path or None, got {describe(self.weights)}.")
        resolve_device(self.device)

    def _find(self, X: Any) -> tuple[list[Found], Sequence[np.ndarray], Any]:
        """Return what is found in each picture, the pictures, and the column that holds them."""
        self._check()
        pictures, column = _as_pictures(X)
        if self.detector == "mediapipe":
            return find_with_mediapipe(pictures, self.threshold, self.max_hands), pictures, column
        path = _WEIGHTS if self.weights is None else Path(self.weights)
        network = _load_network(os.path.abspath(path), _changed(path), str(resolve_device(self.device)))
        found = find_hands(network, pictures, self.threshold, int(self.max_hands), self.overlap)
        return found, pictures, column


def find_hands(
    network: DetectorNet, pictures: Sequence[np.ndarray], threshold: float, max_hands: int, overlap: float
) -> list[Found]:
    """Find hands with a network, a few pictures of one size at a time.

    Parameters
    ----------
    network : DetectorNet
        For inference.
    pictures : sequence of ndarray of shape (height, width, 3), uint8
    threshold, max_hands, overlap
        As of `HandDetector`.

    Returns
    -------
    found : list of Found
        One a picture, boxes in its px.
    """
    device = next(network.parameters()).device
    found: list[Found] = []
    batch: list[np.ndarray] = []
    with torch.inference_mode():
        for i in progress(range(len(pictures)), "detecting", unit="picture"):
            batch.append(pictures[i])
            shape, is_last = batch[0].shape, i + 1 == len(pictures)
            if not is_last and len(batch) < _BATCH and pictures[i + 1].shape == shape:
                continue
            boxed = torch.cat([_letterbox(picture, network.input, device) for picture in batch])
            x = normalise(boxed).contiguous(memory_format=torch.channels_last)
            scales = _scales(shape, network.input)
            for each in read_maps(network(x), threshold, max_hands, overlap, network.input):
                found.append(each._replace(box=_to_picture(each.box, scales)))
            batch = []
    return found


def _small_size(shape: tuple[int, ...], side: int) -> tuple[int, int]:
    """Return height and width of the picture that the network reads, without what is added."""
    longest = max(shape[:2])
    return max(1, round(shape[0] * side / longest)), max(1, round(shape[1] * side / longest))


def _scales(shape: tuple[int, ...], side: int) -> Tensor:
    """Return how many px of the picture a px of the network's input is, along x and y."""
    height, width = _small_size(shape, side)
    return torch.tensor([shape[1] / width, shape[0] / height])


def _to_picture(box: Tensor, scales: Tensor) -> Tensor:
    """Bring boxes from the network's input to the picture; pixel centres are whole numbers in both."""
    low = (box[:, :2] + 0.5) * scales - 0.5
    return torch.cat([low, box[:, 2:] * scales], dim=1)


def _letterbox(picture: np.ndarray, side: int, device: torch.device) -> Tensor:
    """Return the picture with its longest side brought to ``side`` px, in grey: (1, 3, height, width)."""
    height, width = _small_size(picture.shape, side)
    small = pixels = torch.from_numpy(np.require(picture, np.uint8, ["C", "W"])).permute(2, 0, 1)[None]
    if (height, width) != picture.shape[:2]:
        small = torch.empty((1, height, width, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        resize_antialiased(pixels, [height, width], False, None, None, out=small)
    whole = (-(-height // 32) * 32, -(-width // 32) * 32)
    out = torch.full((1, *whole, 3), _GREY, device=device).permute(0, 3, 1, 2)  # channels last in memory
    out[:, :, :height, :width] = small.to(device)
    return out


def _changed(path: Path) -> tuple[int, int]:
    """Return which file it is and when it was changed, so that a new one is read anew."""
    try:
        found = path.stat()
        return found.st_ino, found.st_mtime_ns
    except OSError as error:
        raise InputError(f"weights: expected a file, got {str(path)!r}, which is missing.") from error


@functools.lru_cache(maxsize=4)
def _load_network(path: str, changed: tuple[int, int], device: str) -> DetectorNet:
    """Read a network once for all detectors of the process."""
    weights, meta = load_weights(path)
    with torch.inference_mode(False):
        try:
            place = torch.device(device)
            network = DetectorNet(**meta["architecture"]).fused(resolve_precision("auto", place))
            network.load_state_dict(weights)
        except (KeyError, TypeError, RuntimeError) as error:
            raise InputError(f"weights: expected those of a hand detector, got {path} ({error}).") from error
        network.requires_grad_(False).to(place)
        if place.type == "cpu":
            pack_convolutions(network)
        return network


class PictureList(LazyColumn):
    """Pictures in memory that may differ in size: a column whose rows are then read one by one.

    Parameters
    ----------
    pictures : sequence of ndarray of shape (height, width, 3), uint8
    """

    def __init__(self, pictures: Sequence[np.ndarray]):
        sizes = {picture.shape for picture in pictures}
        shape = next(iter(sizes)) if len(sizes) == 1 else (None, None, 3)
        super().__init__((len(pictures), *shape), np.uint8)
        self.pictures = list(pictures)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        some = [self.pictures[int(row)] for row in rows]
        if len({picture.shape for picture in some}) > 1:
            raise InputError("rgb: expected pictures of one size, got some that differ: crop them first.")
        return np.stack(some) if some else np.empty((0, 0, 0, 3), np.uint8)


class _Rows(Sequence[np.ndarray]):
    """The pictures of an array or a lazy column, read one at a time, as uint8."""

    def __init__(self, column: Any):
        self.column = column

    def __len__(self) -> int:
        return len(self.column)

    def __getitem__(self, row: Any) -> Any:
        return _as_bytes(np.asarray(self.column[row]), "X")


def _as_pictures(X: Any) -> tuple[Sequence[np.ndarray], Any]:
    """Return the pictures as a sequence of uint8 arrays (height, width, 3), and a column that holds them."""
    if hasattr(X, "detach") or isinstance(X, np.ma.MaskedArray):
        X = read_array(X, "X", "pictures")
    if hasattr(X, "__len__") and getattr(X, "shape", None) != () and len(X) == 0:
        raise InputError(f"X: expected at least 1 picture, got {describe(X)}.")
    if is_pictures(X):
        X = [picture.pixels for picture in iterate_pictures(X)]
    if isinstance(X, HandFrames):
        if "rgb" not in X.columns:
            raise InputError(f"X: expected a HandFrames with the column rgb, got {X.columns}.")
        return _Rows(X.rgb), X.rgb
    if hasattr(X, "shape") and hasattr(X, "dtype"):
        shape = tuple(X.shape)
        if len(shape) not in (3, 4) or shape[-1] != 3 or 0 in shape[1:]:
            raise InputError(f"X: expected pictures of shape (n, height, width, 3), got {describe(X)}.")
        column = X[None] if len(shape) == 3 else X
        if np.dtype(column.dtype) != np.uint8 and np.dtype(column.dtype).kind != "f":
            raise InputError(f"X: expected uint8 (0 to 255) or float (0 to 1), got dtype {column.dtype}.")
        return _Rows(column), column
    if isinstance(X, str) or not isinstance(X, Sequence):
        raise InputError(f"X: expected pictures, a sequence of pictures or a HandFrames, got {describe(X)}.")
    pictures = [_as_bytes(np.asarray(picture), f"X[{i}]") for i, picture in enumerate(X)]
    return pictures, PictureList(pictures)


def _as_bytes(picture: np.ndarray, name: str) -> np.ndarray:
    """Return a picture as uint8."""
    if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
        raise InputError(f"{name}: expected a picture of shape (height, width, 3), got {describe(picture)}.")
    if picture.dtype == np.uint8:
        return picture
    if picture.dtype.kind != "f":
        raise InputError(f"{name}: expected uint8 (0 to 255) or float (0 to 1), got dtype {picture.dtype}.")
    if not np.isfinite(picture).all() or picture.min() < 0.0 or picture.max() > 1.0:
        raise InputError(f"{name}: expected floats from 0 to 1, got others; a picture of 0 to 255 is uint8.")
    return np.rint(255.0 * picture).astype(np.uint8)
