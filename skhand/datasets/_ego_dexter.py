"""Load EgoDexter (Mueller et al. 2017), from the publisher's own folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skhand._validation import check_option
from skhand.datasets._files import check_choices, check_folder
from skhand.datasets._finish import finish
from skhand.datasets._report import Inspector, Part
from skhand.datasets._tips import CAMERAS, TipSet, find_labels, inspect_tips, read_tips

__all__ = ["load_ego_dexter"]


def _find_missing_labels(tips: np.ndarray) -> np.ndarray:
    return tips[..., 2] <= 0


_FILES = TipSet(
    sequences=("Desk", "Fruits", "Kitchen", "Rotunda"),
    labels=("annotation.txt", "annotation.txt_3D.txt"),
    pictures={"colour": {"rgb": "color"}, "depth": {"rgb": "color_on_depth", "depth": "depth"}},
    sizes={"colour": (480, 640), "depth": (480, 640)},
    colour=np.array([[617.173, 0, 315.453], [0, 617.173, 242.259], [0, 0, 1]]),
    depth=np.array([[475.62, 0, 311.125], [0, 475.62, 245.965], [0, 0, 1]]),
    extrinsic=np.array(
        [
            [1.0000, 0.0009, -0.0074, 20.2365],
            [-0.0007, 0.9997, 0.0248, 1.2846],
            [0.0075, -0.0248, 0.9997, 5.7360],
        ]
    ),
    missing=_find_missing_labels,
    more_points=False,
)

_DESCR = """
EgoDexter
=========

Four sequences of a hand that handles objects in cluttered rooms, seen by a camera on the body, 640 x 480 px;
a test set with the five finger tips in 3D. F. Mueller, D. Mehta, O. Sotnychenko, S. Sridhar, D.
Casas and C. Theobalt, Real-time Hand Tracking under Occlusion from an Egocentric RGB-D Sensor, ICCV 2017; Max
Planck Institute for Informatics. Licence: for research only, as far as known to us.

Labels: the 2D labels lie in the depth pictures, the 3D labels in the depth camera's frame, x right, y down. A
2D tip without a label is -1; a 3D tip without one is 0, 0, 0 or -1, -1, -1. Many frames have no label at all:
their rows are NaN and score nothing.

Hands: all left, according to a public loader. Who is in which sequence is not known to us, so ``groups``
holds the sequence. Frames: 3 190, of which somewhat less than half have labels. Pictures are put in the order
of their numbers, one a label line.

Known faults: some labels are wrong, most of them in Kitchen; others have published corrected files, which
this loader does not read.
"""


def load_ego_dexter(
    data_dir: Any,
    split: str = "test",
    *,
    sequences: Sequence[str] | None = None,
    camera: str = "colour",
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load EgoDexter, a test set of finger tips.

    Nothing is downloaded: the data are offered at
    http://handtracker.mpi-inf.mpg.de/projects/OccludedHands/EgoDexter.htm.

    Parameters
    ----------
    data_dir : str or path
        The folder with ``data``.
    split : {"test"}, default="test"
        There is no other.
    sequences : sequence of str or None, default=None
        Which of Desk, Fruits, Kitchen, Rotunda; None for all four.
    camera : {"colour", "depth"}, default="colour"
        Whose pictures are the data, and in whose frame and picture the joints are. ``"colour"`` (Iqbal et
        al.): ``rgb``; ``"depth"``: ``depth``, and the colours that the publisher has moved onto it.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``: ``"canonical"`` (21, of which the tips are known), ``"native"``
        for the five tips, or another name of `skhand.skeleton.LAYOUTS`. ``data`` has the canonical ones in
        any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to tips without a 3D label (0, 0, 0 or -1).
        Their joints are NaN in any case. ``"flag"``: so are their ``keypoints2d``; ``"keep"``: their 2D
        labels stay where there are some (``camera="depth"``); ``"drop"``: frames that lack any of the five
        tips are left out. ``bad`` marks such frames in each case.
    crop : transformer or None, default=None
        Applied to the table of whole pictures, for example ``HandCropper()``.
    cache : str, path or None, default=None
        Folder where the (cropped) pictures are kept as memory maps. Its entries are named by all options,
        the annotation files and the library's version.
    return_X_y : bool, default=False
        Whether to return ``(data, target)`` instead of a Bunch.

    Returns
    -------
    ego : Bunch
        ``data`` : HandFrames with ``rgb`` and, with ``camera="depth"``, ``depth`` (mm, 0 where not measured),
        read when asked for, ``keypoints2d`` (px; the tips' projection, or with ``camera="depth"`` the
        published 2D labels), ``visible``, ``camera``, ``side`` "left", ``box`` (around the true tips and
        100 mm more on each side, px, and the whole picture where no tip is known: it is ground truth) and
        ``domain`` "real".
        ``target`` : ndarray of shape (n_samples, 21, 3), mm, frame of ``camera``; NaN but for labelled tips.
        ``visible`` : ndarray of shape (n_samples, 21), bool; the labelled tips.
        ``bad`` : ndarray of shape (n_samples,), bool.
        ``groups`` : ndarray of shape (n_samples,), the sequence. ``ids`` : ndarray of str, the sequence and
        the line's number from 0. ``joint_names``, ``DESCR``.
    (data, target) : tuple
        If ``return_X_y`` is True.

    Raises
    ------
    InputError
        If a parameter is not one of those listed.
    DataFileError
        If a file is missing, damaged or not in the published format.

    Examples
    --------
    >>> from skhand.datasets import load_ego_dexter
    >>> hands = load_ego_dexter("EgoDexter")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", ("test",))
    wanted = check_choices(sequences, "sequences", _FILES.sequences)
    check_option(camera, "camera", CAMERAS)
    return finish(
        "ego_dexter",
        lambda: read_tips(_FILES, folder, wanted, camera, "right-down"),
        native="tips5",
        sources=find_labels(_FILES, folder, wanted),
        options={"sequences": wanted, "camera": camera},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _inspect(data_dir: Path) -> list[Part]:
    return inspect_tips(_FILES, data_dir, 3190)


INSPECTOR = Inspector(tuple(f"data/{name}/annotation.txt*" for name in _FILES.sequences), _inspect)
