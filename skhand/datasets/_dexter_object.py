"""Load Dexter+Object (Sridhar et al. 2016), from the publisher's own folder."""

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

__all__ = ["load_dexter_object"]

_AXES = ("auto", "right-down", "left-up")


def _find_missing_labels(tips: np.ndarray) -> np.ndarray:
    return (tips[..., 2] >= 32001) | (tips[..., 2] <= 0)


_FILES = TipSet(
    sequences=("Grasp1", "Grasp2", "Occlusion", "Rigid", "Pinch", "Rotate"),
    labels=("annotations/{}2D.txt", "annotations/{}3D.txt"),
    pictures={"colour": {"rgb": "color"}, "depth": {"depth": "depth"}},
    sizes={"colour": (480, 640), "depth": (240, 320)},
    colour=np.array([[587.45209, 0, 325], [0, 600.67456, 249], [0, 0, 1]]),
    depth=np.array([[224.502, 0, 160], [0, 230.494, 120], [0, 0, 1]]),
    extrinsic=np.array(
        [
            [0.9999, 0.0034, 0.0161, 19.0473],
            [-0.0033, 1.0000, -0.0079, -1.8514],
            [-0.0162, 0.0079, 0.9998, -4.7501],
        ]
    ),
    missing=_find_missing_labels,
    more_points=True,
)

_DESCR = """
Dexter+Object
=============

Six sequences of a hand that moves an object, seen by a static colour camera (640 x 480) and a time-of-flight
camera (320 x 240); a test set with the five finger tips in 3D. S. Sridhar, F. Mueller, M. Zollhoefer, D.
Casas, A. Oulasvirta and C. Theobalt, Real-time Joint Tracking of a Hand Manipulating an Object from RGB-D
Input, ECCV 2016; Max Planck Institute for Informatics. Licence: for research only, as far as known to us.

Labels: the 2D labels lie in the depth pictures, the 3D labels in the depth camera's frame. A tip without a
label has z = 32001. The points of the object, which follow the tips on a line, are read and left out.

Axes: the public loaders that project the 3D labels turn x and y round first, and say that the labels would
not fall on the hand otherwise. ``axes="auto"`` takes the sign with which the 3D labels of a sequence land on
its 2D labels. The extrinsic matrix leads from the depth camera's frame, x right and y down, to the colour
camera's.

Hands: all left, according to a public loader. Who is in which sequence is not known to us, so ``groups``
holds the sequence. Frames: 3 014 in most listings, 3 145 in Iqbal et al. 2018. The pictures' names are not
documented: they are put in the order of their numbers, one a label line. Iqbal et al. compare with tips
whose last bone they shorten to 0.9.

Known faults: some labels are wrong; others have published corrected files, which this loader does not read.
"""


def load_dexter_object(
    data_dir: Any,
    split: str = "test",
    *,
    sequences: Sequence[str] | None = None,
    camera: str = "colour",
    axes: str = "auto",
    layout: str = "canonical",
    bad_rows: str = "flag",
    crop: Any = None,
    cache: Any = None,
    return_X_y: bool = False,
) -> Any:
    """Load Dexter+Object, a test set of finger tips.

    Nothing is downloaded: the data are offered at
    https://handtracker.mpi-inf.mpg.de/projects/RealtimeHO/dexter+object.htm.

    Parameters
    ----------
    data_dir : str or path
        The folder with ``data``.
    split : {"test"}, default="test"
        There is no other.
    sequences : sequence of str or None, default=None
        Which of Grasp1, Grasp2, Occlusion, Rigid, Pinch, Rotate; None for all six.
    camera : {"colour", "depth"}, default="colour"
        Whose pictures are the data, and in whose frame and picture the joints are. ``"colour"`` (Iqbal et
        al.): ``rgb``; ``"depth"``: ``depth``.
    axes : {"auto", "right-down", "left-up"}, default="auto"
        Where x and y of the 3D labels point as they are published. ``"auto"`` finds it out from the 2D
        labels of each sequence by itself, whichever others are asked for, and refuses a sequence that has
        none, or whose 3D labels miss them by more than 5 px (median) either way. The target is x right, y
        down in any case.
    layout : str, default="canonical"
        Joints of ``target`` and ``visible``: ``"canonical"`` (21, of which the tips are known), ``"native"``
        for the five tips, or another name of `skhand.skeleton.LAYOUTS`. ``data`` has the canonical ones in
        any case.
    bad_rows : {"flag", "keep", "drop"}, default="flag"
        What happens to tips without a 3D label (z = 32001, or not in front of the camera).
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
    dexter : Bunch
        ``data`` : HandFrames with ``rgb`` or ``depth`` (mm, 0 where nothing was measured),
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
    >>> from skhand.datasets import load_dexter_object
    >>> hands = load_dexter_object("dexter+object")  # doctest: +SKIP
    """
    folder = check_folder(data_dir)
    check_option(split, "split", ("test",))
    wanted = check_choices(sequences, "sequences", _FILES.sequences)
    check_option(camera, "camera", CAMERAS)
    check_option(axes, "axes", _AXES)
    return finish(
        "dexter_object",
        lambda: read_tips(_FILES, folder, wanted, camera, axes),
        native="tips5",
        sources=find_labels(_FILES, folder, wanted),
        options={"sequences": wanted, "camera": camera, "axes": axes},
        descr=_DESCR,
        layout=layout,
        bad_rows=bad_rows,
        crop=crop,
        cache=cache,
        return_X_y=return_X_y,
    )


def _inspect(data_dir: Path) -> list[Part]:
    return inspect_tips(_FILES, data_dir, (3014, 3145))


INSPECTOR = Inspector(tuple(f"data/{name}/annotations/{name}?D.txt" for name in _FILES.sequences), _inspect)
