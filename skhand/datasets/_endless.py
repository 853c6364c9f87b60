"""Generated hands as tables: any rows of a source, and tables whose rows are others in every epoch."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._columns import MakerColumn, RowsOf
from skhand._validation import check_number
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.rendering.source import HandSource, Poses

__all__ = ["EndlessHands", "lazy_pictures", "place_hands"]


def place_hands(source: HandSource, rows: np.ndarray) -> tuple[Poses, dict[str, Any]]:
    """Return some rows' poses, and the columns of `HandFrames` that are no pictures.

    Parameters
    ----------
    source : HandSource
        What makes the rows.
    rows : ndarray of shape (k,), int
        Which rows.

    Returns
    -------
    poses : Poses
        As right hands.
    columns : dict of str to array-like
        Left hands are mirrored, the poses (mm) are the column ``pose3d``.
    """
    poses, size = source.poses(rows), source.settings.image_size
    joints, camera, box = poses.joints.copy(), poses.camera.copy(), poses.box.copy()
    left = poses.is_left
    joints[left, :, 0] *= -1
    camera[left, 0, 2] = size - 1 - camera[left, 0, 2]
    box[left, 0] = size - 1 - (box[left, 0] + box[left, 2])
    flat = joints[..., :2] / joints[..., 2:]
    return poses, {
        "keypoints2d": flat * camera[:, None, [0, 1], [0, 1]] + camera[:, None, :2, 2],
        "pose3d": joints,
        "camera": camera,
        "side": np.where(left, "left", "right"),
        "scale": np.linalg.norm(joints[:, 10] - joints[:, 9], axis=1),
        "root": 0.5 * (joints[:, 0] + joints[:, 9]),
        "box": box,
        "visible": poses.visible,
        "domain": np.full(len(rows), source.settings.domain),
    }


def lazy_pictures(
    source: HandSource, images: tuple[str, ...], n_samples: int, first: int = 0
) -> dict[str, MakerColumn]:
    """Return picture columns that are rendered when asked for, from the source's row ``first`` on."""
    types = source.picture_types
    return {
        name: MakerColumn(source, name, (n_samples, *types[name][0]), types[name][1], first)
        for name in images
    }


class EndlessHands(HandFrames):
    """Generated hands without an end: a table of the rows of epoch 0, which knows those of every other epoch.

    `skhand.datasets.make_hands` returns it for ``endless=True``. Epoch k of n hands has the rows k * n to
    (k + 1) * n - 1 of the same seed, so that no row comes twice. A selection of rows is a table without end
    too, of the rows at these places in every epoch.

    Parameters
    ----------
    source : HandSource
        What makes the rows.
    images : tuple of {"rgb", "depth", "mask"}
        The picture columns.
    columns : dict of str to ndarray
        The other columns of epoch 0, as many rows as an epoch has.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> endless = make_hands(4, image_size=32, lazy=True, endless=True, random_state=0).data
    >>> first, second = endless.at_epoch(0), endless.at_epoch(1)
    >>> bool((first.pose3d == second.pose3d).any())
    False
    """

    def __init__(self, source: HandSource, images: tuple[str, ...], columns: dict[str, Any]):
        n_samples = len(columns["pose3d"])
        super().__init__(**lazy_pictures(source, images, n_samples), **columns)
        self._source, self._images, self._period = source, images, n_samples
        self._places = np.arange(n_samples)  # in its epoch, of each row of _columns
        self._replaced: dict[str, str | None] = {}

    def at_epoch(self, epoch: int) -> HandFrames:
        """Return the table of an epoch: as many rows as there are here, of the same columns.

        An epoch is the same bit by bit whenever it is asked for, and epoch 0 is this table. Its poses are
        drawn at once, which takes about 0.1 ms a row on one CPU core, 3% of what a colour picture of 64 px
        takes. Pictures are rendered when they are read. No epoch is kept here.

        Parameters
        ----------
        epoch : int
            Which epoch, from 0.

        Returns
        -------
        frames : HandFrames

        Raises
        ------
        InputError
            If ``epoch`` is no such number.
        """
        most = 2**62 // self._period
        check_number(epoch, "epoch", integer=True, low=0, high=most)
        first, places = int(epoch) * self._period, self._own_places()
        columns = place_hands(self._source, first + places)[1]
        pictures = {
            name: RowsOf(column, places)
            for name, column in lazy_pictures(self._source, self._images, self._period, first).items()
        }
        frames = HandFrames(**pictures, **columns)
        return frames.replace(**self._replaced) if self._replaced else frames

    def replace(self, **columns: Any) -> HandFrames:
        """Return hands without end of which some columns are taken away, or say the same in every row.

        Parameters
        ----------
        **columns : None or str
            None takes a column away; a text is the ``side`` or ``domain`` of every row.

        Returns
        -------
        frames : EndlessHands

        Raises
        ------
        InputError
            If it is anything else: the rows are others in every epoch. Replace columns of `at_epoch` instead.
        """
        for name, value in columns.items():
            if not (value is None or isinstance(value, str)):
                raise InputError(
                    f"{name}: hands without end have other rows in every epoch, so that a column can only be "
                    "taken away (None) or say the same in every row (a text); got an array. Change the table "
                    "of one epoch instead: at_epoch(k)."
                )
        plain = super().replace(**columns)
        new = self._like(plain._columns, None, len(plain))
        new._places, new._replaced = self._own_places(), {**self._replaced, **columns}
        return new

    def __getitem__(self, rows: Any) -> EndlessHands:
        some = super().__getitem__(rows)
        return self._like(some._columns, some._rows, some._n)

    def _like(self, columns: dict[str, Any], rows: np.ndarray | None, n: int) -> EndlessHands:
        new = EndlessHands.__new__(EndlessHands)
        new.__dict__.update(self.__dict__)
        new._columns, new._rows, new._n = columns, rows, n
        return new

    def _own_places(self) -> np.ndarray:
        """Where in its epoch each row lies, shape (n_samples,)."""
        return self._places if self._rows is None else self._places[self._rows]

    def __getstate__(self) -> dict[str, Any]:
        own = {name: self.__dict__[name] for name in ("_source", "_images", "_period", "_replaced")}
        return {**super().__getstate__(), "endless": {**own, "_places": self._own_places()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.update(state["endless"])

    def __repr__(self) -> str:
        return super().__repr__().replace("HandFrames of", "EndlessHands, in each epoch", 1)
