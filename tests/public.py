"""What of skhand is public: the modules without an underscore, what they export, and the methods of that."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import skhand

# rooms that no user enters
INNER = ("skhand.cli", "skhand.nn", "skhand.rendering", "skhand.training")
_PAPER = re.compile(r"skhand\.estimators\.\w+\.(?!regressor\.)")  # a paper's networks and training steps
_INDEXING = ("__getitem__",)


def public_modules() -> list[str]:
    """Names of skhand's modules without a leading underscore in any part."""
    names = (info.name for info in pkgutil.walk_packages(skhand.__path__, "skhand."))
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


def is_inner(name: str) -> bool:
    """Whether an object is of a room that no user enters."""
    return name.startswith(INNER) or _PAPER.match(name) is not None


def public_callables() -> Iterator[tuple[str, Any]]:
    """Yield every function, class and method that a user may call, under the name that the user has for it.

    Methods that scikit-learn defines, exceptions and warnings are left out.
    """
    seen: set[int] = set()
    for name in ["skhand", *public_modules()]:
        if is_inner(name + "."):
            continue
        module = importlib.import_module(name)
        for export in getattr(module, "__all__", ()):
            thing = getattr(module, export)
            if not callable(thing) or id(thing) in seen:
                continue
            if inspect.isclass(thing) and issubclass(thing, Exception | Warning):
                continue
            seen.add(id(thing))
            yield f"{name}.{export}", thing
            if inspect.isclass(thing):
                for method, function in own_methods(thing):
                    yield f"{name}.{export}.{method}", function


def own_methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods, and indexing, that the class has from skhand, also by inheritance."""
    for name in dir(cls):
        if name.startswith("_") and name not in _INDEXING:
            continue
        member = getattr(cls, name)
        if inspect.isroutine(member) and (getattr(member, "__module__", "") or "").startswith("skhand"):
            yield name, member


def parameters_of(thing: Any) -> dict[str, inspect.Parameter]:
    """Parameters of a call by name, without ``self``."""
    parameters = inspect.signature(thing).parameters
    return {name: parameter for name, parameter in parameters.items() if name not in ("self", "cls")}
