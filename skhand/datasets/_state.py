"""Describe an object by all that it holds, so that two which may behave differently have two descriptions."""

from __future__ import annotations

import hashlib
import sys
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from skhand.exceptions import InputError

__all__ = ["hash_state"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis), type(NotImplemented))
_DATA = (*_PLAIN, list, tuple, dict, set, frozenset, np.ndarray, np.generic)
_DEEPEST = 100


def hash_state(value: Any, name: str) -> str:
    """Return a hash of an object's class, of the version or the code of it, and of its whole state.

    What `fit` learns is left out of scikit-learn's estimators: attributes whose names end with an underscore.
    Whatever has no ``__version__`` in its package is known by its code.

    Parameters
    ----------
    value : object
        For example a transformer.
    name : str
        The argument's name, for the error.

    Returns
    -------
    digest : str
        Of 64 hexadecimal digits; the same in every process.

    Raises
    ------
    InputError
        If something in it cannot be described, for example an open file.
    """
    description = _Description(name)
    description.add(value, 0)
    return description.digest.hexdigest()


class _Description:
    """A hash that objects are written into, each with its type, so that no two sequences look the same."""

    def __init__(self, name: str):
        self.name, self.digest = name, hashlib.sha256()
        self.seen: dict[int, int] = {}  # what is being written, and functions and classes that were

    def add(self, value: Any, depth: int) -> None:
        """Write an object and all that it holds."""
        if depth > _DEEPEST:
            raise InputError(f"{self.name}: expected less deeply nested parameters where cache= is a folder.")
        if isinstance(value, _PLAIN):
            self._write(type(value).__name__, repr(value))
            return
        if id(value) in self.seen:
            self._write("again", self.seen[id(value)])
            return
        self.seen[id(value)] = len(self.seen)
        parts = self._take_apart(value)
        self._write("parts", len(parts))
        for part in parts:
            self.add(part, depth + 1)
        if not isinstance(value, FunctionType | type):
            del self.seen[id(value)]

    def _write(self, *words: Any) -> None:
        for word in words:
            text = str(word).encode("utf-8", "surrogatepass")
            self.digest.update(f"{len(text)}:".encode() + text)

    def _take_apart(self, value: Any) -> list[Any]:
        """Return what an object consists of."""
        if isinstance(value, list | tuple) and type(value) in (list, tuple):
            return [type(value).__name__, *value]
        if type(value) is dict:
            return ["dict", *(item for pair in value.items() for item in pair)]
        if type(value) in (set, frozenset):
            return ["set", *sorted(hash_state(item, self.name) for item in value)]
        if isinstance(value, np.ndarray) and value.dtype != object:
            content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return ["ndarray", type(value).__name__, value.dtype.str, value.shape, content]
        if isinstance(value, type):
            return ["class", *_name(value), *_classes_code(value)]
        if isinstance(value, FunctionType):
            cells = [cell.cell_contents for cell in value.__closure__ or ()]
            known = [] if _version(value.__module__) else [value.__code__, *_globals(value)]
            return ["function", *_name(value), *known, value.__defaults__, value.__kwdefaults__, cells]
        if isinstance(value, CodeType):
            names = (value.co_names, value.co_varnames, value.co_freevars)
            return ["code", value.co_code, value.co_consts, *names]
        if isinstance(value, MethodType):
            return ["method", value.__func__, value.__self__]
        if isinstance(value, BuiltinFunctionType | np.ufunc):
            return ["builtin", getattr(value, "__module__", None), value.__name__]
        if isinstance(value, ModuleType):
            return ["module", value.__name__, _version(value.__name__)]
        return self._reduce(value)

    def _reduce(self, value: Any) -> list[Any]:
        """Return what a pickle of the object would hold."""
        try:
            reduced = value.__reduce_ex__(4)
        except Exception as error:  # what cannot be pickled raises nearly anything
            raise InputError(
                f"{self.name}: expected parameters that can be described where cache= is a folder, got "
                f"{type(value).__module__}.{type(value).__qualname__} ({error}); load with cache=None."
            ) from error
        if isinstance(reduced, str):
            return ["global", *_name(type(value)), reduced]
        make, arguments, state, items, pairs = (*reduced, *[None] * 5)[:5]
        if isinstance(value, BaseEstimator):
            state = {key: held for key, held in vars(value).items() if not _is_learned(key)}
        listed = [list(some) if some is not None else None for some in (items, pairs)]
        return ["object", type(value), make, list(arguments), state, *listed]


def _is_learned(name: str) -> bool:
    return name.endswith("_") and not name.startswith("_")


def _name(value: Any) -> tuple[str, str, str | None]:
    return str(value.__module__), value.__qualname__, _version(value.__module__)


def _version(module: str | None) -> str | None:
    """Return the version of a module's package; None where it has none."""
    package = sys.modules.get((module or "").partition(".")[0]) if module != "__main__" else None
    version = getattr(package, "__version__", None)
    return version if isinstance(version, str) else None


def _classes_code(cls: type) -> list[Any]:
    """Return the functions of a class and its bases, where no version stands for them."""
    parts: list[Any] = []
    for base in cls.__mro__:
        if base.__module__ == "builtins" or _version(base.__module__):
            parts.append(base.__qualname__)
            continue
        for name, held in sorted(vars(base).items(), key=lambda pair: pair[0]):
            function = getattr(held, "__func__", getattr(held, "fget", held))
            if isinstance(function, FunctionType):
                parts += [name, function]
            elif isinstance(held, _DATA) and not name.startswith("__"):
                parts += [name, held]
    return parts


def _globals(function: FunctionType) -> list[Any]:
    """Return what a function uses of its module: data, functions and classes."""
    known = function.__globals__
    used = [
        name
        for name in function.__code__.co_names
        if name in known and isinstance(known[name], (*_DATA, FunctionType, type))
    ]
    return [item for name in used for item in (name, known[name])]
