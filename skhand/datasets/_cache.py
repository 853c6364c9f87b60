"""Keep loaded and cropped data sets on disk: memory-mapped pictures under a key that holds every option."""

from __future__ import annotations

import hashlib
import json
import os
import re
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
from skhand._decoding import check_is_file
from skhand._progress import progress
from skhand.exceptions import DataFileError
from skhand.frames import HandFrames

_ADDRESS = re.compile(" at 0x[0-9a-fA-F]+")
_CHUNK = 64
_FORMAT = 3
_ABANDONED = 86400  # seconds after which an unfinished write counts as interrupted
_LISTED = 16  # sources whose stamps an entry spells out


def load_cached(
    folder: Path, key: dict[str, Any], sources: Sequence[Path], build: Callable[[], Bunch]
) -> Bunch:
    """Return what ``build`` returns, from ``folder`` where it was kept before.

    An entry is a folder of its own. It is written under another name and renamed when it is complete, so an
    interrupted write is never taken for an entry, and of two processes that build the same one the first to
    finish wins. What interrupted writes left a day ago or earlier is removed before the next one. An entry is
    compared with what it was written as: names, shapes, types and sizes of its arrays, and the checksums of
    all but the pictures.

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

    Raises
    ------
    DataFileError
        If the entry is damaged, or a source or the cache cannot be read or written.
    """
    try:
        stamps: Any = [
            (str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in sources
        ]
    except OSError as error:
        raise DataFileError(f"data_dir: expected files that can be read, got {error}.") from error
    if len(stamps) > _LISTED:
        stamps = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()
    text = json.dumps(
        {**key, "sources": stamps, "skhand": skhand.__version__, "format": _FORMAT},
        sort_keys=True,
        default=_spell,
    )
    entry = folder / f"{key['dataset']}-{hashlib.sha256(text.encode()).hexdigest()[:20]}"
    if not os.path.lexists(entry):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(folder)
            partial = folder / f"{entry.name}.partial-{uuid.uuid4().hex}"
            partial.mkdir()
        except OSError as error:
            raise DataFileError(f"cache: expected a folder that can be written, got {error}.") from error
        try:
            bunch = build()
            _keep(partial, entry, bunch, text)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return _read(entry, text)


def _keep(partial: Path, entry: Path, bunch: Bunch, key: str) -> None:
    """Write an entry under its partial name, then rename it, unless another process was faster."""
    try:
        _write(partial, bunch, key)
        os.rename(partial, entry)
    except OSError as error:
        if not entry.is_dir():
            raise DataFileError(f"cache: expected a folder that can be written, got {error}.") from error


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
    return (
        f"{type(value).__module__}: {_ADDRESS.sub('', repr(value))}"  # the hash of the state tells them apart
    )


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
    texts["arrays"] = {name: [value.dtype.str, list(value.shape)] for name, value in arrays.items()}
    texts["pictures"] = {
        path.stem: [np.load(path, mmap_mode="r").dtype.str, list(np.load(path, mmap_mode="r").shape)]
        for path in sorted(folder.glob("*.npy"))
    }
    np.savez(folder / "rows.npz", **arrays)
    (folder / "texts.json").write_text(json.dumps(texts, indent=1))


def _write_pictures(path: Path, column: Any) -> None:
    """Write a column some rows at a time."""
    out = np.lib.format.open_memmap(path, mode="w+", dtype=column.dtype, shape=tuple(column.shape))
    for start in progress(range(0, len(column), _CHUNK), f"writing {path.name}", unit="batch"):
        rows = np.arange(start, min(start + _CHUNK, len(column)))
        out[rows] = column[rows]
    out.flush()


def _read(folder: Path, key: str) -> Bunch:
    """Read an entry, compared with what it was written as; its pictures are memory maps."""
    try:
        for name in ("texts.json", "rows.npz"):
            check_is_file(folder / name)
        texts = json.loads((folder / "texts.json").read_text())
        if texts.pop("key") != json.loads(key):
            raise ValueError("its key is another one")
        with np.load(folder / "rows.npz", allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        pictures = {name: _map_pictures(folder / f"{name}.npy") for name in texts["pictures"]}
        for kind, found in (("arrays", arrays), ("pictures", pictures)):
            _check_written(texts.pop(kind), found)
        columns = {name.removeprefix("data."): array for name, array in arrays.items() if "data." in name}
        texts["joint_names"] = tuple(texts["joint_names"])
        return Bunch(
            data=HandFrames(**pictures, **columns),
            **{name: values for name, values in arrays.items() if "data." not in name},
            **texts,
        )
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataFileError(f"cache: {folder} is damaged ({error}); delete it.") from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, MemoryError) as error:
        raise DataFileError(f"cache: {folder} is damaged ({error}); delete it.") from error


def _map_pictures(path: Path) -> np.ndarray:
    """Map a picture column whose file has the size that its head names."""
    check_is_file(path)
    pictures = np.load(path, mmap_mode="r", allow_pickle=False)
    if path.stat().st_size != pictures.offset + pictures.nbytes:
        raise ValueError(f"{path.name} has another size than its head names")
    return pictures


def _check_written(written: dict[str, Any], found: dict[str, np.ndarray]) -> None:
    """Check that arrays have the names, types and shapes that they were written with."""
    there = {name: [array.dtype.str, list(array.shape)] for name, array in found.items()}
    if there != written:
        odd = next(name for name in {**written, **there} if written.get(name) != there.get(name))
        raise ValueError(f"{odd} was written as {written.get(odd)}, and is {there.get(odd)}")
