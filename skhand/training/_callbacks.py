"""Show a training to skorch's callbacks, and check callbacks."""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

from skhand.exceptions import InputError

__all__ = ["CallbackNet", "check_callbacks"]


class CallbackNet(NeuralNet):
    """The networks, the optimiser and the history as skorch's callbacks know them.

    skorch's own loop knows epochs only: it could not go on in the middle of one, and it swallows Ctrl-C. Its
    `EarlyStopping` and `Checkpoint` have no state that a checkpoint could keep, and do not count the weights
    that a stage starts from.
    """

    @property
    def _default_callbacks(self) -> list[Any]:
        return []

    def watches_gradients(self) -> bool:
        """Tell whether a callback waits for the gradients of each step."""
        return any(
            type(callback).on_grad_computed is not Callback.on_grad_computed
            for _, callback in self.callbacks_
        )

    def show_gradients(self) -> None:
        """Let the callbacks see, and clip, the gradients."""
        self.notify("on_grad_computed", named_parameters=list(self.module_.named_parameters()), training=True)


def check_callbacks(callbacks: Any) -> list[Any]:
    """Return skorch callbacks as a list; None is none.

    Raises
    ------
    InputError
        If they are not a list of callbacks, each an instance or a pair of a name and an instance.
    """
    if callbacks is None:
        return []
    each = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    for callback in each:
        part = callback[1] if isinstance(callback, tuple) and len(callback) == 2 else callback
        if not isinstance(callback, tuple | Callback) or not isinstance(part, Callback):
            raise InputError(
                f"callbacks: expected a list of skorch callbacks, or None, got {callbacks!r}. "
                "scikit-learn's own callbacks go through set_callbacks."
            )
    if not isinstance(callbacks, list | tuple):
        raise InputError(f"callbacks: expected a list, got {callbacks!r}.")
    return each
