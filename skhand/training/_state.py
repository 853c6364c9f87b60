"""Weights as numpy arrays, so that a pickled estimator loads on any device."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

__all__ = ["to_numpy", "to_tensors"]


def to_numpy(tree: Any) -> Any:
    """Replace every tensor in nested dicts and lists by a numpy array."""
    if isinstance(tree, torch.Tensor):
        return tree.detach().cpu().numpy().copy()
    if isinstance(tree, dict):
        return {key: to_numpy(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [to_numpy(value) for value in tree]
    return tree


def to_tensors(tree: Any) -> Any:
    """Replace every numpy array in nested dicts and lists by a tensor."""
    if isinstance(tree, np.ndarray):
        return torch.from_numpy(tree.copy())
    if isinstance(tree, dict):
        return {key: to_tensors(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [to_tensors(value) for value in tree]
    return tree
