"""Stages of a fit: their names and order, what is still ahead, and parameters that differ between them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from skhand._validation import check_number
from skhand.exceptions import InputError

__all__ = ["Stages"]


@dataclass(frozen=True)
class Stages:
    """The stages that a method knows, in order.

    Parameters
    ----------
    first : tuple of str
        Stages of which one comes first.
    later : tuple of str
        Stages of which any may follow.
    needs : mapping of str to str
        Stages that may come only with another one.
    """

    first: tuple[str, ...]
    later: tuple[str, ...]
    needs: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all stages."""
        return (*self.first, *self.later)

    def check(self, stages: Any) -> tuple[str, ...]:
        """Return the parameter ``stages`` as a tuple.

        Raises
        ------
        InputError
            If it is not one of the first stages and then any of the later ones, in order.
        """
        names = tuple(stages) if isinstance(stages, tuple | list) else ()
        later = [stage for stage in self.later if stage in names]
        lacking = [stage for stage, need in self.needs.items() if stage in names and need not in names]
        if not names or names[0] not in self.first or list(names[1:]) != later or lacking:
            after = ", ".join(
                repr(stage) + (f" (after {self.needs[stage]!r})" if stage in self.needs else "")
                for stage in self.later
            )
            raise InputError(
                f"stages: expected 'auto', or {' or '.join(map(repr, self.first))} and then any of {after}, "
                f"in this order; got {stages!r}."
            )
        return names

    def check_or_auto(self, stages: Any, name: str = "stages") -> None:
        """Validate the parameter ``stages``, which may be "auto"."""
        if not (isinstance(stages, str) and stages == "auto"):
            self.check(stages)

    def require_begun(self, stages: tuple[str, ...], trained: Sequence[str]) -> None:
        """Check that stages go on with those that were trained, each named once an epoch.

        Raises
        ------
        InputError
            If they do not start with these, in this order.
        """
        begun = tuple(dict.fromkeys(trained))
        if stages[: len(begun)] != begun:
            raise InputError(f"stages: expected {begun}, as begun, to go on; got {stages}.")

    def spread(
        self,
        value: Any,
        name: str,
        stages: tuple[str, ...] | None = None,
        check: Callable[[Any, str], Any] = check_number,
    ) -> dict[str, Any]:
        """Return a parameter's value at each stage: one number for all, or a dict by stage.

        Parameters
        ----------
        value : number or dict of str to number
            What the user gave.
        name : str
            The parameter's name, for the error.
        stages : tuple of str or None
            Stages that need a value; None only validates the values there are.
        check : callable
            ``check(value, name)`` raises an `InputError` where one of the values is not as it should be.

        Returns
        -------
        values : dict of str to number

        Raises
        ------
        InputError
            If a value is no such number, a name is unknown or a stage has none.
        """
        values = dict(value) if isinstance(value, Mapping) else dict.fromkeys(self.names, value)
        unknown = set(values) - set(self.names)
        missing = set(stages or ()) - set(values)
        if unknown or missing:
            raise InputError(
                f"{name}: expected a number, or a dict with one for each stage of {stages or self.names}; "
                f"got {value!r}."
            )
        for each in values.values():
            check(each, name)
        return values

    def ahead(
        self,
        stages: tuple[str, ...],
        present: str,
        finished: Collection[str | None],
        wanted: Mapping[str, int],
        done: Mapping[str, int],
    ) -> list[tuple[str, int, int]]:
        """Return what is to be trained: stages, how much of each, and how much of it was done before.

        A stage that was left is not gone back to. Where nothing is left, the last stage is trained again.

        Parameters
        ----------
        stages : tuple of str
            Those of the present parameters.
        present : str
            The stage that was begun last.
        finished : collection of str
            Stages that ended by themselves.
        wanted, done : mapping of str to int
            Length of each stage, and what was done of it.
        """
        left = stages[stages.index(present) :]
        waiting = [stage for stage in left if stage not in finished and done[stage] < wanted[stage]]
        if not waiting:
            return [(stages[-1], wanted[stages[-1]], 0)]
        return [(stage, wanted[stage] - done[stage], done[stage]) for stage in waiting]
