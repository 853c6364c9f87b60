"""Hands: what HandTracker answers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from skhand._drawing import draw_hand
from skhand._validation import check_number, count, describe
from skhand.datasets._hand_table import write_table
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.skeleton import root_position

__all__ = ["Hands"]


@dataclass(frozen=True, eq=False)
class Hands:
    """Hands that were found in pictures, one row a hand; ``hands[rows]`` takes some of them.

    Parameters
    ----------
    joints : ndarray of shape (n_hands, 21, 3), mm
        In the frame of the upright picture's camera: x right, y down, z forward. How far away the hand is
        depends on the camera and is often the least certain number; ``rooted`` does without it.
    keypoints : ndarray of shape (n_hands, 21, 2), px
        In the upright picture.
    side : ndarray of shape (n_hands,), str
        ``"left"`` or ``"right"``: of the person.
    score : ndarray of shape (n_hands,)
        0 to 1. From ``predict`` how sure the detector is of the hand, from ``track`` how sure the pose
        network is of its joints.
    box : ndarray of shape (n_hands, 4), px
        x, y, width, height: from ``predict`` the detector's, from ``track`` that of the joints, 8 mm wider
        on each side.
    picture : ndarray of shape (n_hands,), int
        Index of the picture that the hand is in.
    camera : ndarray of shape (n_hands, 3, 3), px
        Intrinsics that the joints were placed with.
    camera_source : ndarray of shape (n_hands,), str
        Where they come from: ``"given"``, ``"exif"`` (the picture's focal length) or ``"field of view"``.
    ids : ndarray of shape (n_hands,), int, or None
        From ``track``: the number that a hand keeps from frame to frame.
    pictures : tuple
        The pictures as pixels (height, width, 3), or files' paths, which ``draw`` reads again.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.tracking import HandTracker
    >>> picture = make_hands(1, rotation=0, images=("rgb",), random_state=0).data.rgb[0]
    >>> found = HandTracker().predict(picture)
    >>> found.joints.shape, found.keypoints.shape
    ((1, 21, 3), (1, 21, 2))
    """

    joints: np.ndarray
    keypoints: np.ndarray
    side: np.ndarray
    score: np.ndarray
    box: np.ndarray
    picture: np.ndarray
    camera: np.ndarray
    camera_source: np.ndarray
    ids: np.ndarray | None = None
    pictures: tuple[Any, ...] = ()

    def __len__(self) -> int:
        return len(self.joints)

    def __getitem__(self, rows: Any) -> Hands:
        try:
            wanted = HandFrames(picture=np.arange(len(self)))[rows].picture
        except InputError as error:  # which names the table
            raise InputError(f"rows: {str(error).partition(': ')[2]}") from error
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        some = {name: value[wanted] for name, value in columns.items() if isinstance(value, np.ndarray)}
        return replace(self, **some)

    def __repr__(self) -> str:
        sides = ", ".join(self.side.tolist())
        found = f"{count(len(self), 'hand')} in {count(len(self.pictures), 'picture')}"
        return f"{found}: {sides}" if len(self) else found

    @property
    def rooted(self) -> np.ndarray:
        """Joints relative to the palm, half way between wrist and middle MCP: (n_hands, 21, 3), mm."""
        return self.joints - root_position(self.joints, "palm")[:, None]

    def draw(self, picture: int | None = None, *, width: float | None = None) -> Any:
        """Draw the hands of one picture into it.

        Parameters
        ----------
        picture : int or None, default=None
            Index of the picture; None is the only one.
        width : float or None, px, default=None
            Width of the lines, 10 000 at most; None goes by the hand's size.

        Returns
        -------
        drawn : PIL.Image.Image
            Upright, of the picture's size: ``drawn.save("overlay.png")``.

        Raises
        ------
        InputError
            If there is no such picture, or None is given and there are several.
        """
        n = len(self.pictures)
        if picture is None:
            if n != 1:
                raise InputError(f"picture: expected the index of one of {n} pictures, got None.")
            picture = 0
        check_number(picture, "picture", integer=True, low=0, high=n - 1)
        return draw_hand(self.pictures[picture], self.keypoints[self.picture == picture], width=width)

    def to_csv(self, path: Any, *, names: Sequence[str] | None = None) -> None:
        """Write the hands as a table, one row a hand, which `skhand.datasets.load_folder` reads.

        Parameters
        ----------
        path : str or path
            The file, which is replaced; columns are those of `skhand.datasets.load_folder`.
        names : sequence of str or None, default=None
            What to call each picture; None is its file's name, or its number where it came as pixels.

        Raises
        ------
        InputError
            If the file cannot be written, or there are not as many names as pictures.
        """
        self._write(names, csv_path=path)

    def to_json(self, path: Any, *, names: Sequence[str] | None = None) -> None:
        """Write the hands as a list of objects, one a hand, with the joints by name.

        Parameters
        ----------
        path : str or path
            The file, which is replaced.
        names : sequence of str or None, default=None
            As in `to_csv`.

        Raises
        ------
        InputError
            As in `to_csv`.
        """
        self._write(names, json_path=path)

    def _write(self, names: Sequence[str] | None, **paths: Any) -> None:
        if names is None:
            named = [
                os.path.basename(picture) if isinstance(picture, str) else str(number)
                for number, picture in enumerate(self.pictures)
            ]
            if len(set(named)) < len(named):  # of several folders
                named = [str(picture) for picture in self.pictures]
        elif (
            isinstance(names, list | tuple | np.ndarray)
            and getattr(names, "ndim", 1) == 1
            and all(isinstance(name, str) for name in names)
        ):
            named = [str(name) for name in names]
        else:
            raise InputError(f"names: expected a list of texts or None, got {describe(names)}.")
        if len(named) != len(self.pictures):
            raise InputError(
                f"names: expected one for each of {len(self.pictures)} pictures, got {len(named)}."
            )
        columns = self._columns([named[number] for number in self.picture])
        write_table(columns, **paths)

    def _columns(self, names: Sequence[str]) -> dict[str, Any]:
        """Return what a table on disk has of these hands; ``names`` are those of each hand's picture."""
        return {
            "picture": names,
            "id": self.ids,
            "side": self.side,
            "score": self.score,
            "box": self.box,
            "camera_source": self.camera_source,
            "camera": self.camera,
            "joints": self.joints,
            "keypoints": self.keypoints,
        }
