"""Stages of a fit: their names and order, and parameters that may differ from stage to stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from skhand._validation import check_number
from skhand.exceptions import InputError

FIRST = ("vae", "disentangle")
STAGES = (*FIRST, "align", "finetune", "refine")


def check_stages(stages: Any) -> tuple[str, ...]:
    """Return the stages as a tuple.

    Raises
    ------
    InputError
        If they are not one of the first stages and then any of the later ones, in order.
    """
    names = tuple(stages) if isinstance(stages, tuple | list) else ()
    later = [stage for stage in STAGES[len(FIRST) :] if stage in names]
    if (
        not names
        or names[0] not in FIRST
        or list(names[1:]) != later
        or names.count("finetune") > names.count("align")
    ):
        raise InputError(
            "stages: expected 'auto', or 'vae' or 'disentangle' and then any of 'align', 'finetune' (after "
            f"'align') and 'refine', in this order; got {stages!r}."
        )
    return names


def require_begun(stages: tuple[str, ...], trained: Sequence[str]) -> None:
    """Check that stages go on with those that were trained, each named once an epoch.

    Raises
    ------
    InputError
        If they do not start with these, in this order.
    """
    begun = tuple(dict.fromkeys(trained))
    if stages[: len(begun)] != begun:
        raise InputError(f"stages: expected {begun}, as begun, to go on; got {stages}.")


def by_stage(
    value: Any, name: str, stages: tuple[str, ...] | None, known: tuple[str, ...] = STAGES, **limits: Any
) -> dict[str, Any]:
    """Return a parameter's value at each stage: one number for all, or a dict by stage.

    Parameters
    ----------
    value : number or dict of str to number
        What the user gave.
    name : str
        The parameter's name, for the error.
    stages : tuple of str or None
        Stages that need a value; None only judges the values there are.
    known : tuple of str
        Names of all stages there are.
    **limits : dict
        As in `skhand._validation.check_number`.

    Returns
    -------
    values : dict of str to number

    Raises
    ------
    InputError
        If a value is no such number, a name is unknown or a stage has none.
    """
    values = dict(value) if isinstance(value, Mapping) else dict.fromkeys(known, value)
    unknown = set(values) - set(known)
    missing = set(stages or ()) - set(values)
    if unknown or missing:
        raise InputError(
            f"{name}: expected a number, or a dict with one for each stage of {stages or known}; "
            f"got {value!r}."
        )
    return {stage: check_number(each, name, **limits) for stage, each in values.items()}
