"""Keep loaded and cropped data sets on disk: memory-mapped pictures under a key that holds every option."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.utils import Bunch

import skhand
from skhand._columns import PICTURES
from skhand.exceptions import DataFileError
from skhand.frames import HandFrames

_CHUNK = 64
_FORMAT = 2
_ABANDONED = 86400  # seconds after which an unfinished write counts as interrupted
_LISTED = 16  # sources whose stamps an entry spells out


def load_cached(
    folder: Path, key: dict[str, Any], sources: Sequence[Path], build: Callable[[], Bunch]
) -> Bunch:
    """Return what ``build`` returns, from ``folder`` where it was kept before.

    An entry is a folder of its own. It is written under another name and renamed when it is complete, so an
    interrupted write is never taken for an entry, and of two processes that build the same one the first to
    finish wins. What interrupted writes left a day ago or earlier is removed before the next one.

    Parameters
    ----------
    folder : Path
        The cache; made where it does not exist.
    key : dict
        All that the result depends on. The library's version and the sources are added to it.
    sources : sequence of Path
        Files whose place, size and time of change are part of the key.
    build : callable
        Makes the Bunch.

    Returns
    -------
    bunch : Bunch
        Its pictures are memory maps.
    """
    stamps: Any = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources]
    if len(stamps) > _LISTED:
        stamps = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    text = json.dumps(
        {**key, "sources": stamps, "skhand": skhand.__version__, "format": _FORMAT},
        sort_keys=True,
        default=_spell,
    )
    entry = folder / f"{key['dataset']}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    if not entry.is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        bunch = build()
        partial = folder / f"{entry.name}.partial-{uuid.uuid4().hex}"
        partial.mkdir()
        try:
            _write(partial, bunch, text)
            os.rename(partial, entry)
        except OSError:
            if not entry.is_dir():  # not merely another process that was faster
                raise
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return _read(entry)


def _remove_abandoned(folder: Path) -> None:
    """Remove what is neither finished nor was written to for a day."""
    for partial in folder.glob("*.partial-*"):
        try:
            last = max(path.stat().st_mtime for path in (partial, *partial.iterdir()))
        except OSError:  # renamed or removed by its own process
            continue
        if time.time() - last > _ABANDONED:
            shutil.rmtree(partial, ignore_errors=True)


def _spell(value: Any) -> Any:
    """Return an option as JSON can hold it; arrays by their content, which their repr leaves out."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return ["ndarray", str(value.dtype), value.shape, digest]
    return f"{type(value).__module__}: {value!r}"


def _write(folder: Path, bunch: Bunch, key: str) -> None:
    """Write an entry: each picture column as .npy, all other arrays in one .npz, texts in one .json."""
    arrays: dict[str, Any] = {}
    texts = {"key": json.loads(key)}
    for name in bunch.data.columns:
        column = getattr(bunch.data, name)
        if name in PICTURES:
            _write_pictures(folder / f"{name}.npy", column)
        else:
            arrays[f"data.{name}"] = np.asarray(column)
    for name, value in bunch.items():
        if isinstance(value, np.ndarray):
            arrays[name] = value
        elif name != "data":
            texts[name] = value
    np.savez(folder / "rows.npz", **arrays)
    (folder / "texts.json").write_text(json.dumps(texts, indent=1))


def _write_pictures(path: Path, column: Any) -> None:
    """Write a column some rows at a time."""
    out = np.lib.format.open_memmap(path, mode="w+", dtype=column.dtype, shape=tuple(column.shape))
    for start in range(0, len(column), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(column)))
        out[rows] = column[rows]
    out.flush()


def _read(folder: Path) -> Bunch:
    """Read an entry; its pictures are memory maps."""
    try:
        texts = json.loads((folder / "texts.json").read_text())
        with np.load(folder / "rows.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        pictures = {
            path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in folder.glob("*.npy")
        }
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataFileError(f"cache: {folder} is damaged ({error}); delete it.") from error
    columns = {name.removeprefix("data."): values for name, values in arrays.items() if "data." in name}
    del texts["key"]
    texts["joint_names"] = tuple(texts["joint_names"])
    return Bunch(
        data=HandFrames(**pictures, **columns),
        **{name: values for name, values in arrays.items() if "data." not in name},
        **texts,
    )
