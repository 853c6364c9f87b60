"""Find the device that a name means on this machine."""

from __future__ import annotations

import torch

from skhand.exceptions import InputError

__all__ = ["resolve_device"]


def resolve_device(device: str) -> torch.device:
    """Turn ``"auto"`` or a torch device name into a device.

    Parameters
    ----------
    device : str
        "auto" is a GPU if there is one.

    Returns
    -------
    device : torch.device

    Raises
    ------
    InputError
        If the name is unknown, or the machine has no such device.
    """
    if not isinstance(device, str | torch.device):
        raise InputError(f"device: expected 'auto', 'cpu' or another name of torch's, got {device!r}.")
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
        torch.zeros(1, device=resolved).item()  # the device "meta" computes nothing
    except (RuntimeError, AssertionError, TypeError) as error:
        raise InputError(
            f"device: expected 'auto', 'cpu' or a device that torch finds here, got {device!r} ({error})."
        ) from error
    return resolved
