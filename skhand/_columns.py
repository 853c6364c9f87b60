"""Read columns row by row when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np

from skhand._decoding import MAX_PIXELS, check_paths, decode_file, to_colour, to_gray
from skhand._maps import pack, unpack
from skhand._progress import progress
from skhand._validation import check_bool, check_number, describe, read_array, read_numbers
from skhand.exceptions import InputError

__all__ = [
    "PICTURES",
    "CheckedColumn",
    "ImageFiles",
    "LazyColumn",
    "Maker",
    "MakerColumn",
    "RowsOf",
    "in_memory",
    "read_columns",
    "read_pictures",
    "stack_rows",
    "unroll",
    "widen_column",
]


#: The picture columns, each with the order of interpolation that it bears: 0 nearest pixel, 1 bilinear.
PICTURES: dict[str, Literal[0, 1]] = {"rgb": 1, "depth": 0, "mask": 0}


class LazyColumn:
    """Base of the columns whose rows are read when they are asked for.

    A subclass has ``_read(rows)``, which returns the rows (k,) of int as an array (k, ...). If it is built
    from other columns it has `parts` and `build` instead, so that `read_columns` can read those for several
    columns at once.

    Parameters
    ----------
    shape : tuple of int
        Of the whole column. None where rows differ: they are then read one by one.
    dtype : dtype
        Of what is read.

    Attributes
    ----------
    shape, dtype, ndim
        As of an array.
    """

    def __init__(self, shape: tuple[Any, ...], dtype: Any):
        self.shape, self.dtype, self.ndim = shape, np.dtype(dtype), len(shape)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        parts = self.parts(rows)
        if parts is None:
            raise NotImplementedError
        return self.build(rows, [_read_rows(*part) for part in parts])

    def parts(self, rows: np.ndarray) -> list[tuple[Any, np.ndarray]] | None:
        """Return the columns, each with the rows of it, that these rows are built from; None if from none."""
        return None

    def build(self, rows: np.ndarray, read: Sequence[np.ndarray]) -> np.ndarray:
        """Return the rows, built from what was read of their `parts`."""
        raise NotImplementedError

    def widen(self, border: int) -> tuple[LazyColumn, np.ndarray] | None:
        """Return the pictures with more of what lies around them, where a larger picture is behind.

        Parameters
        ----------
        border : int, px
            How much more is wanted on each side.

        Returns
        -------
        wide : LazyColumn of shape (n_samples, height + 2 * border, width + 2 * border, ...)
            The same pictures with a border.
        frames : ndarray of shape (n_samples, 3, 3), float32, px
            Pixels of ``wide`` to those of the pictures. None of both where nothing lies around them.
        """
        return None

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, tuple) and len(rows) == 2 and rows[1] is Ellipsis:
            rows = rows[0]
        if not (isinstance(rows, slice) or rows is Ellipsis):
            rows = read_array(rows, "rows", "an index, a slice or an array of rows")
            rows = rows.astype(np.intp) if rows.shape == (0,) else rows
        wanted = np.arange(len(self))[rows]
        if wanted.ndim > 1:
            raise InputError(f"rows: expected an index, a slice or a 1-D array, got {wanted.ndim} axes.")
        read = self._read(np.atleast_1d(wanted))
        return read if wanted.ndim else read[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self[:]
        return array if dtype is None else array.astype(dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: pack(value) for name, value in self.__dict__.items()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update({name: unpack(value) for name, value in state.items()})


class RowsOf(LazyColumn):
    """Some rows of a column.

    Parameters
    ----------
    column : array-like
        With ``shape``, ``dtype`` and indexing by rows.
    rows : ndarray of int
        Which.
    """

    def __init__(self, column: Any, rows: np.ndarray):
        super().__init__((len(rows), *column.shape[1:]), column.dtype)
        self.column, self.rows = column, rows

    def parts(self, rows: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return the column behind, and the rows of it."""
        return [(self.column, self.rows[rows])]

    def build(self, rows: np.ndarray, read: Sequence[np.ndarray]) -> np.ndarray:
        """Return what was read."""
        return read[0]

    def widen(self, border: int) -> tuple[LazyColumn, np.ndarray] | None:
        """Return these rows of the pictures with a border; see `LazyColumn.widen`."""
        wider = widen_column(self.column, border)
        return None if wider is None else (RowsOf(wider[0], self.rows), wider[1][self.rows])


class CheckedColumn(LazyColumn):
    """A column whose rows are checked as they are read, each time.

    Parameters
    ----------
    column : array-like
        With ``shape``, ``dtype`` and indexing by rows.
    check : callable
        ``check(rows)`` raises an error where the rows (k, ...) are not as they should be. Picklable.
    """

    def __init__(self, column: Any, check: Callable[[np.ndarray], None]):
        super().__init__(tuple(column.shape), column.dtype)
        self.column, self.check = column, check

    def parts(self, rows: np.ndarray) -> list[tuple[Any, np.ndarray]]:
        """Return the column behind, and its rows."""
        return [(self.column, rows)]

    def build(self, rows: np.ndarray, read: Sequence[np.ndarray]) -> np.ndarray:
        """Return what was read, checked."""
        if read[0].size:
            self.check(read[0])
        return read[0]

    def widen(self, border: int) -> tuple[LazyColumn, np.ndarray] | None:
        """Return the pictures with a border, checked as well; see `LazyColumn.widen`."""
        wider = widen_column(self.column, border)
        return None if wider is None else (CheckedColumn(wider[0], self.check), wider[1])


class Maker(Protocol):
    """Makes rows of several columns, all of them in one pass."""

    def make(self, rows: np.ndarray, names: tuple[str, ...]) -> dict[str, np.ndarray]:
        """Return the rows (k,) of the named columns, each of shape (k, ...).

        A row has the same bits whatever it is made together with, and from however many threads at once.
        """


class MakerColumn(LazyColumn):
    """One of several columns that a maker makes.

    Parameters
    ----------
    maker : Maker
        What makes the rows. `read_columns` makes the columns of one maker (the same object) together.
    name : str
        What the maker calls this column.
    shape : tuple of int
        Of the whole column.
    dtype : dtype
        Of what is made.
    first : int, default=0
        The maker's number of this column's row 0; those of the next rows follow.
    """

    def __init__(self, maker: Maker, name: str, shape: tuple[int, ...], dtype: Any, first: int = 0):
        super().__init__(shape, dtype)
        self.maker, self.name, self.first = maker, name, first

    def _read(self, rows: np.ndarray) -> np.ndarray:
        return self.maker.make(rows + self.first, (self.name,))[self.name]


def read_columns(columns: Mapping[str, Any], names: Iterable[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Read some rows of some columns, each column at once.

    Columns of one maker, also where others are built from them, are made together and each row only once.
    Several threads may read at once; what a row is read with, and by how many threads, changes no bit of it.
    Where pictures are changed after they are read, all rows' are in memory at once: ask for a batch.

    Parameters
    ----------
    columns : mapping of str to array-like
        Arrays and lazy columns.
    names : iterable of str
        Which to read; those that are not among the columns are left out.
    rows : ndarray of shape (k,), int
        Which rows, from 0 to n_rows - 1, in any order and as often as wanted.

    Returns
    -------
    read : dict of str to ndarray
        Each of shape (k, ...).

    Raises
    ------
    InputError
        If ``rows`` are not such numbers.
    """
    wanted = {name: columns[name] for name in names if name in columns}
    rows = _check_rows(rows, wanted)
    leaves = [leaf for column in wanted.values() for leaf in _leaves(column, rows)]
    read = iter(_read_leaves(leaves))
    return {name: _built(column, rows, read) for name, column in wanted.items()}


def _check_rows(rows: Any, columns: Mapping[str, Any]) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 1 or (rows.dtype.kind not in "iu" and rows.size):
        raise InputError(f"rows: expected integers of shape (k,), got {rows.dtype} of shape {rows.shape}.")
    rows = rows.astype(np.intp, copy=False)
    for name, column in columns.items():
        if rows.size and not (rows.min() >= 0 and rows.max() < len(column)):
            raise InputError(
                f"rows: expected 0 to {len(column) - 1} of {name}, got {rows.min()} to {rows.max()}."
            )
    return rows


def _parts(column: Any, rows: np.ndarray) -> list[tuple[Any, np.ndarray]] | None:
    return column.parts(rows) if isinstance(column, LazyColumn) else None


def _leaves(column: Any, rows: np.ndarray) -> list[tuple[Any, np.ndarray]]:
    """Return the columns that are built from no others, and their rows, which these rows need."""
    parts = _parts(column, rows)
    if parts is None:
        return [(column, rows)]
    return [leaf for part in parts for leaf in _leaves(*part)]


def _built(column: Any, rows: np.ndarray, read: Iterator[np.ndarray]) -> np.ndarray:
    """Build the rows from what was read of their leaves, in the order of `_leaves`."""
    parts = _parts(column, rows)
    if parts is None:
        return next(read)
    return column.build(rows, [_built(*part, read) for part in parts])


def _read_leaves(leaves: list[tuple[Any, np.ndarray]]) -> list[np.ndarray]:
    """Read each leaf; those of one maker together."""
    together: dict[int, list[int]] = {}
    read: list[np.ndarray] = [np.empty(0)] * len(leaves)
    for i, (column, rows) in enumerate(leaves):
        if isinstance(column, MakerColumn):
            together.setdefault(id(column.maker), []).append(i)
        else:
            read[i] = _read_rows(column, rows)
    for group in together.values():
        columns, numbers = [leaves[i][0] for i in group], [leaves[i][0].first + leaves[i][1] for i in group]
        every, where = np.unique(np.concatenate(numbers), return_inverse=True)
        made = columns[0].maker.make(every, tuple(dict.fromkeys(column.name for column in columns)))
        ends = np.cumsum([len(some) for some in numbers])[:-1]
        for i, column, some in zip(group, columns, np.split(where, ends), strict=True):
            read[i] = made[column.name][some]
    return read


def _read_rows(column: Any, rows: np.ndarray) -> np.ndarray:
    """Return the rows (k,) of a column as an array (k, ...)."""
    if len(rows) == 1:  # rows of other sizes than their neighbours' can be read alone
        return np.array(column[int(rows[0])])[None]  # a copy, as of several rows
    return np.asarray(column[rows])


def unroll(column: Any) -> tuple[Any, np.ndarray]:
    """Return the column behind selections of rows, and the rows of it that are meant."""
    rows = np.arange(len(column))
    while isinstance(column, RowsOf):
        column, rows = column.column, column.rows[rows]
    return column, rows


def widen_column(column: Any, border: int) -> tuple[LazyColumn, np.ndarray] | None:
    """Return what `LazyColumn.widen` does of any column; None of an array."""
    return column.widen(border) if isinstance(column, LazyColumn) else None


def in_memory(column: Any) -> bool:
    """Tell whether a column, or the one that it is some rows of, is a plain array."""
    behind = unroll(column)[0]
    return isinstance(behind, np.ndarray) and not isinstance(behind, np.memmap)


class ImageFiles(LazyColumn):
    """Pictures in files, decoded when they are asked for.

    Parameters
    ----------
    paths : sequence of str or path, or a folder
        One picture each. JPEG, PNG and what else Pillow opens is read; HEIC where the package pillow-heif is
        installed. Colour of 16 bits is scaled to 8, as is gray of 16 bits that is read as
        colour. Of a folder, all pictures that lie in it, sorted by name: "10.png" comes before "2.png". Paths
        are made absolute at once, so that a later change of the working folder does no harm.
    gray : bool, default=False
        Whether to keep one channel, as it is in the file (16-bit PNGs stay uint16); colour, also that of a
        palette, is made gray.
    reader : callable, optional
        Reads one file in place of the decoders above: ``reader(path) -> ndarray``, of one shape and dtype. A
        function that a module defines, so that the pictures can be pickled.
    orient : bool, default=True
        Whether pictures are turned upright as their EXIF orientation says, as viewers do. False leaves the
        pixels as they lie in the file. A ``reader`` does what it does.
    max_pixels : int, default=100_000_000
        Limit of a picture's pixels, which its header is checked against before it is decoded.
    one_size : bool, default=True
        Whether all pictures have the size of the first one. Those that differ can be read one by one, and
        cropped to one size by `skhand.preprocessing.HandCropper`.

    Attributes
    ----------
    shape : tuple
        ``(n_files, height, width, 3)``, or without the last axis for ``gray=True``; height and width are None
        for ``one_size=False``.
    dtype : dtype
        uint8, or uint16 for 16-bit gray files.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> from skhand import ImageFiles
    >>> folder = tempfile.mkdtemp()
    >>> Image.new("RGB", (32, 24)).save(folder + "/a.png")
    >>> files = ImageFiles(folder)
    >>> files.shape, files[:1].shape
    ((1, 24, 32, 3), (1, 24, 32, 3))
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]] | str | os.PathLike[str],
        *,
        gray: bool = False,
        reader: Callable[[str], np.ndarray] | None = None,
        orient: bool = True,
        max_pixels: int = MAX_PIXELS,
        one_size: bool = True,
    ):
        check_number(max_pixels, "max_pixels", integer=True, low=1)
        check_bool(gray, "gray")
        check_bool(orient, "orient")
        check_bool(one_size, "one_size")
        if reader is not None and not callable(reader):
            raise InputError(f"reader: expected a function reader(path) or None, got {describe(reader)}.")
        self.paths = check_paths(paths)
        self.gray, self.reader, self.orient, self.max_pixels = gray, reader, orient, max_pixels
        first = self._decode(self.paths[0])
        row_shape = first.shape if one_size else (None, None, *first.shape[2:])
        super().__init__((len(self.paths), *row_shape), first.dtype)

    def _read(self, rows: np.ndarray) -> np.ndarray:
        if None in self.shape:
            return stack_rows([self._read_file(path) for path in self._tell(rows)])
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for i, path in enumerate(self._tell(rows)):
            out[i] = self._read_file(path)
        return out

    def _tell(self, rows: np.ndarray) -> Iterable[str]:
        """Return the rows' paths, with a bar where reading them takes long."""
        return progress(self.paths[rows], "reading", unit="picture")

    def _read_file(self, path: str) -> np.ndarray:
        picture = self._decode(path)
        fits = picture.shape[2:] == self.shape[3:] if None in self.shape else picture.shape == self.shape[1:]
        if not fits or picture.dtype != self.dtype:
            kinds = (f" {self.dtype}", f" {picture.dtype}") if picture.dtype != self.dtype else ("", "")
            crop = "; for pictures that are cropped afterwards: one_size=False, then HandCropper"
            hint = "" if fits else crop
            raise InputError(
                f"paths: expected pictures of shape {self.shape[1:]}{kinds[0]} as in {self.paths[0]}, "
                f"got {picture.shape}{kinds[1]} in {path}{hint}."
            )
        return picture

    def _decode(self, path: str) -> np.ndarray:
        if self.reader is not None:
            try:
                picture = self.reader(path)
            except (InputError, MemoryError):
                raise
            except (OSError, SyntaxError) as error:  # Pillow raises either for a damaged PNG
                raise InputError(
                    f"paths: {path} is missing or is not a readable picture ({error})."
                ) from error
            except Exception as error:
                raise InputError(f"reader: {type(error).__name__} at {path} ({error}).") from error
            if not isinstance(picture, np.ndarray) or picture.ndim < 2 or picture.dtype == object:
                raise InputError(
                    f"reader: expected it to return an array (height, width, ...), got {describe(picture)} "
                    f"of {path}."
                )
            return picture
        picture = decode_file(path, "paths", max_pixels=self.max_pixels, orient=self.orient)
        return (to_gray if self.gray else to_colour)(picture, f"paths: {path}")


def stack_rows(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Stack pictures that were read together.

    Raises
    ------
    InputError
        If they differ in size.
    """
    sizes = {picture.shape for picture in pictures}
    if len(sizes) > 1:
        raise InputError(
            f"X: expected pictures of one size, got (height, width) of "
            f"{sorted(size[:2] for size in sizes)[:3]}. Crop them first, for example with HandCropper, or "
            "read them one by one."
        )
    return np.stack(pictures) if len(pictures) else np.empty((0, 0, 0, 3), np.uint8)


def read_pictures(value: Any, name: str) -> Any:
    """Return a column of pictures: lazy ones as they are, all others as an array.

    Raises
    ------
    InputError
        If it is no array of numbers, for example a list of pictures of several sizes.
    """
    is_tensor, is_masked = hasattr(value, "detach"), isinstance(value, np.ma.MaskedArray)
    if all(hasattr(value, each) for each in ("shape", "dtype", "__getitem__")) and not (
        is_tensor or is_masked
    ):
        return value
    if isinstance(value, list | tuple):
        sizes = {tuple(getattr(picture, "shape", ())) for picture in value}
        if len(sizes) > 1 and () not in sizes:
            raise InputError(
                f"{name}: expected pictures of one size, got shapes {sorted(sizes)[:3]}. Pictures of several "
                "sizes: ImageFiles(paths, one_size=False), or concat_frames of one HandFrames a size; "
                "HandCropper then crops them to one."
            )
    return read_numbers(value, name, "pictures")
