"""Checkpoints: a file that is always whole, is written by one run, and is read without running code."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skhand._validation import warn_user
from skhand.exceptions import InputError, TrainingWarning

__all__ = ["Checkpoint", "fingerprint", "flatten", "restore"]

_FORMAT = 1
_COLLECTIONS: dict[str, Callable[..., Any]] = {"list": list, "tuple": tuple, "set": set}
_WHOLE = 2**26  # bytes of an array that are read whole


def flatten(tree: Any, arrays: list[np.ndarray], other: Callable[[Any], Any] | None = None) -> Any:
    """Turn nested dicts, lists, numbers, strings, arrays and tensors into JSON and a list of arrays.

    Parameters
    ----------
    tree : object
        What is to be written.
    arrays : list of ndarray
        Arrays and tensors are added here, and stand in the JSON by their number.
    other : callable or None, default=None
        Returns the JSON that stands for anything else, a dict with one name that `restore` is to know; None
        leaves it as it is.

    Returns
    -------
    json : object
    """
    if isinstance(tree, torch.Tensor):
        arrays.append(tree.detach().cpu().numpy().copy())
        return {"tensor": len(arrays) - 1}
    if isinstance(tree, np.ndarray):
        if tree.dtype.kind in "OU":
            return {"strings": [str(name) for name in tree]}
        arrays.append(tree)
        return {"array": len(arrays) - 1}
    if isinstance(tree, Mapping):
        return {"dict": [[key, flatten(value, arrays, other)] for key, value in tree.items()]}
    for kind in (list, tuple, set):
        if isinstance(tree, kind):
            parts = sorted(tree, key=str) if kind is set else tree
            return {kind.__name__: [flatten(value, arrays, other) for value in parts]}
    tree = tree.item() if isinstance(tree, np.generic) else tree
    if isinstance(tree, float) and not math.isfinite(tree):
        return {"float": str(tree)}  # JSON has none of these
    known = tree is None or isinstance(tree, bool | int | float | str)
    return tree if known or other is None else other(tree)


def restore(
    tree: Any,
    arrays: Mapping[str, np.ndarray],
    others: Mapping[str, Callable[[Any], Any]] | None = None,
) -> Any:
    """Undo `flatten`.

    Parameters
    ----------
    tree : object
        The JSON.
    arrays : mapping of str to ndarray
        Arrays by number.
    others : mapping of str to callable or None, default=None
        What makes something of the content of other names.

    Returns
    -------
    tree : object

    Raises
    ------
    KeyError, TypeError or ValueError
        If it is not what `flatten` returns.
    """
    if not isinstance(tree, dict):
        return tree
    ((kind, value),) = tree.items()
    if kind == "tensor":
        return torch.from_numpy(np.array(arrays[str(value)]))
    if kind == "array":
        return np.array(arrays[str(value)])
    if kind == "strings":
        return np.array([str(name) for name in value], dtype=object)
    if kind == "float":
        return float(value)
    if kind == "dict":
        return {key: restore(part, arrays, others) for key, part in value}
    if kind in _COLLECTIONS:
        return _COLLECTIONS[kind](restore(part, arrays, others) for part in value)
    return (others or {})[kind](value)


class Checkpoint:
    """A file that a training goes on from.

    Parameters
    ----------
    path : str or path
        The file. Its folder must exist.
    identity : mapping of str to JSON values
        What a run must have in common with the file: parameters, and prints of the data.

    Raises
    ------
    InputError
        If the folder does not exist, or the file is none of ours.
    """

    def __init__(self, path: Any, identity: Mapping[str, Any]):
        self.path = Path(path)
        self.identity = json.loads(json.dumps(identity))
        if not self.path.parent.is_dir():
            raise InputError(f"checkpoint: expected a path in a folder that exists, got {self.path}.")

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other run away from the file in this block.

        Raises
        ------
        InputError
            If another run has it.
        """
        lock = self.path.with_name(self.path.name + ".lock")
        handle = _lock(lock)
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            handle.close()

    def load(self) -> dict[str, Any]:
        """Return what was saved; nothing where there is no file.

        Raises
        ------
        InputError
            If the file cannot be read, or is of other data or parameters; it names the first that differs.
        """
        try:
            with np.load(self.path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            content = json.loads(arrays.pop("content").tobytes())
            known, version = dict(content["identity"]), content["format"]
            state = dict(restore(content["state"], arrays)) if version == _FORMAT else {}
        except FileNotFoundError:
            return {}
        except Exception as error:  # a damaged zip file raises whatever its bytes lead to
            raise InputError(
                f"checkpoint: {self.path} is not a checkpoint that can be read ({error}). "
                "Take it away to begin anew."
            ) from error
        if version != _FORMAT:
            raise InputError(f"checkpoint: {self.path} has the format {version}, expected {_FORMAT}.")
        for name in dict.fromkeys([*self.identity, *known]):
            if known.get(name) != self.identity.get(name):
                raise InputError(
                    f"checkpoint: {self.path} is of another run: {name} was {known.get(name)!r} there and is "
                    f"{self.identity.get(name)!r} here. Use another path, or take the file away."
                )
        return state

    def save(self, state: Mapping[str, Any]) -> bool:
        """Replace the file; return whether that worked.

        A file that cannot be written (a full disk) is warned of, and the last one stays.
        """
        arrays: list[np.ndarray] = []
        content = {"format": _FORMAT, "identity": self.identity, "state": flatten(state, arrays)}
        named = {str(i): array for i, array in enumerate(arrays)}
        temporary = self.path.with_name(self.path.name + ".tmp")
        text = np.frombuffer(json.dumps(content).encode(), np.uint8)
        try:
            with open(temporary, "wb") as file:
                np.savez(file, content=text, **named)  # type: ignore[arg-type]
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            warn_user(
                f"checkpoint: {self.path} could not be written ({error}); the training goes on, and the last "
                "file that could be written stays.",
                TrainingWarning,
            )
            return False
        return True


def fingerprint(value: Any) -> Any:
    """Return numbers and strings as they are, and anything else as a short text that tells it from others.

    Arrays are read whole; of pictures, which may be large or lie in files, 16 rows.
    """
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(name): fingerprint(each) for name, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [
            fingerprint(each)
            for each in (sorted(value, key=str) if isinstance(value, set | frozenset) else value)
        ]
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        shape = tuple(value.shape)
        some = value
        if len(shape) > 2 and not (isinstance(value, np.ndarray) and value.nbytes < _WHOLE):
            some = value[np.unique(np.linspace(0, shape[0] - 1, min(16, shape[0])).astype(int))]
        content = np.ascontiguousarray(some)
        content = content.astype(str) if content.dtype.kind == "O" else content
        digest = hashlib.sha256(content.tobytes()).hexdigest()
        return f"{shape} {value.dtype} {digest[:16]}"
    if hasattr(value, "__dict__"):
        return {"type": type(value).__name__, **fingerprint(vars(value))}
    return str(value)


def _lock(path: Path) -> io.BufferedRandom:
    """Open a file that no other process has locked; the system unlocks it when this one ends."""
    while True:
        try:
            handle = open(path, "a+b")  # noqa: SIM115  it stays open as long as the lock
        except OSError as error:
            raise InputError(
                f"checkpoint: expected a folder that can be written to, got {path.parent} ({error})."
            ) from error
        try:
            _lock_handle(handle)
        except OSError as error:
            handle.close()
            raise InputError(
                f"checkpoint: another run is writing there ({path.name} is locked); expected a path of its "
                "own for each run."
            ) from error
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle.fileno()), os.stat(path)):
                return handle
        handle.close()  # it was removed between open and lock


def _lock_handle(handle: Any) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
