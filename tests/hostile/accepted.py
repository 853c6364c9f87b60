"""Which of the hostile values an argument may take all the same, and why."""

from __future__ import annotations

from fnmatch import fnmatch

NUMBERS = ("-1", "0", "3.5", "10**30")
TEXTS = ("'abc'", "''", "'3'", "'1e400'")

# kind of argument -> hostile values that are right for it
KINDS: dict[str, tuple[str, ...]] = {
    "option": (),
    "flag": ("True", "False"),
    "number": NUMBERS,
    "number from 0": ("0", "3.5", "10**30"),
    "number above 0": ("3.5", "10**30"),
    "share": ("0",),
    "count": ("10**30",),
    "count from 0": ("0", "10**30"),
    "seed": ("None", "0"),
    "row": ("0", "-1"),
    "free text": (*TEXTS, "None"),
    "path": (*TEXTS, "missing path", "None"),
    "several": ("[]", "()", "None"),
    "nothing": ("None",),
    "unused": ("*",),
}  # fmt: skip

# (callable, argument) patterns -> kind; the first that fits
ARGUMENTS: dict[tuple[str, str], str] = {}


def kind_of(name: str, argument: str) -> str:
    """What kind of argument this is."""
    for (where, what), kind in ARGUMENTS.items():
        if fnmatch(name, where) and fnmatch(argument, what):
            return kind
    return "option"


def is_accepted(name: str, argument: str, value: str) -> bool:
    """Whether the hostile value is right for the argument."""
    return any(fnmatch(value, pattern) if pattern == "*" else value == pattern for pattern in KINDS[kind_of(name, argument)])


# (callable, argument) patterns whose NaN means "unknown", as their docstrings say
UNKNOWN: tuple[tuple[str, str], ...] = ()


def takes_unknown(name: str, argument: str) -> bool:
    """Whether NaN in the argument is documented to stand for what is not known."""
    return any(fnmatch(name, where) and fnmatch(argument, what) for where, what in UNKNOWN)
