"""Report what of a data set is on disk, compared with what its publisher describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["DatasetReport"]

_SHOWN = 20


@dataclass
class Part:
    """One part of a data set, for example a split.

    Parameters
    ----------
    name : str
        What the publisher calls it.
    n_found : int
        Frames that are there with their annotation.
    n_published : int or tuple of int
        Frames that the publisher describes; several where releases differ, ``()`` where none is known.
    missing : list of str
        Files that are not there, relative to ``data_dir``.
    """

    name: str
    n_found: int
    n_published: int | tuple[int, ...]
    missing: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class DatasetReport:
    """Report what `verify` found.

    Parameters
    ----------
    dataset : str
        The data set.
    data_dir : Path
        Where it was looked for.
    parts : list of Part
        One a split or part: ``name``, ``n_found``, ``n_published``, ``missing``.

    Examples
    --------
    Of what `verify` returns:

    >>> from pathlib import Path
    >>> from skhand.datasets import DatasetReport
    >>> DatasetReport("rhd", Path("RHD"), parts=[]).complete
    False
    """

    dataset: str
    data_dir: Path
    parts: list[Part]

    @property
    def missing(self) -> list[str]:
        """List all files that are not there, relative to ``data_dir``."""
        return [name for part in self.parts for name in part.missing]

    @property
    def complete(self) -> bool:
        """True if nothing is missing and every part has a published number of frames."""
        if not self.parts or self.missing:
            return False
        return all(
            part.n_found in (part.n_published if isinstance(part.n_published, tuple) else (part.n_published,))
            for part in self.parts
            if part.n_published != ()
        )

    def __str__(self) -> str:
        lines = [f"{self.dataset} in {self.data_dir}"]
        for part in self.parts:
            published = part.n_published if isinstance(part.n_published, tuple) else (part.n_published,)
            counts = " or ".join(map(str, published)) or "number unknown"
            lines.append(f"  {part.name:24s} {part.n_found:8d} frames, published {counts}")
            lines += [f"    missing: {name}" for name in part.missing[:_SHOWN]]
            if len(part.missing) > _SHOWN:
                lines.append(f"    ... and {len(part.missing) - _SHOWN} more missing files")
        return "\n".join(lines)


@dataclass(frozen=True)
class Inspector:
    """The way to recognise and count a data set.

    Parameters
    ----------
    signatures : tuple of str
        Patterns relative to ``data_dir`` (`Path.glob`); one that matches tells the data set.
    inspect : callable
        ``inspect(data_dir) -> list of Part``; reads no picture.
    """

    signatures: tuple[str, ...]
    inspect: Callable[[Path], list[Part]]
