"""Every public class and function is documented: its parameters, and the defaults that are stated."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from numpydoc.docscrape import ClassDoc, FunctionDoc
from public import is_inner, public_modules

import skhand

_DEFAULT = re.compile(r"default\s*[=:]?\s*(?P<value>.+)$")


def public_objects() -> Iterator[tuple[str, Any]]:
    """Yield what the public modules export, and the public methods that skhand defines on classes."""
    seen = set()
    modules = [skhand, *(importlib.import_module(name) for name in public_modules())]
    for module in modules:
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            if not (inspect.isclass(thing) or inspect.isroutine(thing)):  # a number, a table or a scorer
                continue
            if not thing.__module__.startswith("skhand"):
                continue
            if thing in seen or (inspect.isclass(thing) and issubclass(thing, Exception | Warning)):
                continue
            seen.add(thing)
            yield f"{thing.__module__}.{name}", thing
            if inspect.isclass(thing):
                yield from public_methods(thing)


def public_methods(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the methods that the class itself defines."""
    for name, member in vars(cls).items():
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if not name.startswith("_") and inspect.isfunction(function):
            yield f"{cls.__module__}.{cls.__name__}.{name}", function


OBJECTS = dict(public_objects())


def documented_parameters(thing: Any) -> dict[str, str]:
    """Parameter name to its documented type; ``x, y : int, default=1, 2`` documents both."""
    doc = ClassDoc(thing) if inspect.isclass(thing) else FunctionDoc(thing)
    documented = {}
    for parameter in doc["Parameters"]:
        names = [name.strip() for name in parameter.name.split(",")]
        kind, _, values = parameter.type.partition("default=")
        each = values.split(", ") if len(names) > 1 and values.count(", ") == len(names) - 1 else None
        for i, name in enumerate(names):
            documented[name] = f"{kind}default={each[i]}" if each else parameter.type
    return documented


def signature_parameters(thing: Any) -> dict[str, inspect.Parameter]:
    """Parameters of a call, as a docstring names them."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    parameters = inspect.signature(thing).parameters
    return {
        stars.get(parameter.kind, "") + name: parameter
        for name, parameter in parameters.items()
        if name not in ("self", "cls")
    }


@pytest.mark.parametrize("name", OBJECTS)
def test_documented_parameters_are_those_of_the_signature(name):
    doc = inspect.getdoc(OBJECTS[name])
    assert doc, f"{name} has no docstring"
    wanted = list(signature_parameters(OBJECTS[name]))
    documented = list(documented_parameters(OBJECTS[name]))
    # where no user enters a line may do, but a list of parameters must be the true one
    assert documented == wanted or (is_inner(name) and not documented)


@pytest.mark.parametrize("name", OBJECTS)
def test_stated_defaults_are_those_of_the_signature(name):
    thing = OBJECTS[name]
    stated = documented_parameters(thing)
    for parameter, found in signature_parameters(thing).items():
        match = _DEFAULT.search(stated.get(parameter, ""))
        optional = "optional" in stated.get(parameter, "")
        if found.default is inspect.Parameter.empty:
            assert match is None and not optional, f"{parameter} has no default"
        elif found.default is None:
            assert optional or match is None or match["value"] == "None", f"{parameter} defaults to None"
        elif match is not None:
            assert same_value(match["value"], found.default), (
                f"{parameter}: {match[0]}, not {found.default!r}"
            )


def same_value(stated: str, default: Any) -> bool:
    """Whether the words after ``default=`` name this value."""
    try:
        return eval(stated, {"__builtins__": {}}, {}) == default  # our own docstrings
    except (SyntaxError, NameError):
        return stated == repr(default)


def test_the_check_sees_the_public_objects():
    assert {"skhand.frames.HandFrames", "skhand.frames.HandFrames.replace", "skhand.skeleton.convert"} <= set(
        OBJECTS
    )
