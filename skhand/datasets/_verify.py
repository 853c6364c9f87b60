"""Find which files of a data set are there, and which are missing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skhand._validation import check_option
from skhand.datasets import (
    _dexter_object,
    _ego_dexter,
    _freihand,
    _icvl,
    _mpii_nzsl,
    _msra,
    _nyu,
    _rhd,
    _stb,
    _synth_hands,
)
from skhand.datasets._files import check_folder
from skhand.datasets._report import DatasetReport
from skhand.exceptions import DataFileError

__all__ = ["recognise", "verify"]

#: How each data set is recognised and counted.
INSPECTORS = {
    "dexter_object": _dexter_object.INSPECTOR,
    "ego_dexter": _ego_dexter.INSPECTOR,
    "freihand": _freihand.INSPECTOR,
    "icvl": _icvl.INSPECTOR,
    "mpii_nzsl": _mpii_nzsl.INSPECTOR,
    "msra": _msra.INSPECTOR,
    "nyu": _nyu.INSPECTOR,
    "rhd": _rhd.INSPECTOR,
    "stb": _stb.INSPECTOR,
    "synth_hands": _synth_hands.INSPECTOR,
}


def verify(data_dir: Any, dataset: str = "auto") -> DatasetReport:
    """Print the number of frames of each split, found and published, and name every missing file.

    Parameters
    ----------
    data_dir : str or path
        Folder of a data set, as for its loader.
    dataset : str, default="auto"
        The data set, named as in its loader (``"rhd"`` for `load_rhd`); ``"auto"`` reads it off the files.

    Returns
    -------
    report : DatasetReport
        What was printed: ``parts``, ``missing``, ``complete``.

    Raises
    ------
    DataFileError
        If no data set is recognised.
    InputError
        If ``data_dir`` is no folder or the name is unknown.

    Examples
    --------
    >>> import tempfile
    >>> from skhand.datasets import make_hands, save_rhd, verify
    >>> folder = tempfile.mkdtemp()
    >>> hands = make_hands(2, image_size=64, random_state=0)
    >>> save_rhd(hands.data, hands.target, folder)
    >>> report = verify(folder, "rhd")  # doctest: +ELLIPSIS
    rhd in ...
      training                        2 frames, published 41258
      evaluation                      0 frames, published 2728
        missing: evaluation/anno_evaluation.pickle
    >>> report.complete
    False
    """
    folder = check_folder(data_dir)
    check_option(dataset, "dataset", ("auto", *INSPECTORS))
    if dataset == "auto":
        dataset = recognise(folder)
    report = DatasetReport(dataset, folder, INSPECTORS[dataset].inspect(folder))
    print(report)
    return report


def recognise(folder: Path) -> str:
    """Return the name of the data set that a folder holds, by its files.

    Raises
    ------
    DataFileError
        If it looks like none, or like several.
    """
    found = [
        name
        for name, inspector in INSPECTORS.items()
        if any(next(folder.glob(pattern), None) for pattern in inspector.signatures)
    ]
    if len(found) != 1:
        raise DataFileError(
            f"data_dir: expected the folder of one of {', '.join(INSPECTORS)}; {folder} looks like "
            f"{' and '.join(found) if found else 'none of them'}. Name it by dataset=."
        )
    return found[0]
