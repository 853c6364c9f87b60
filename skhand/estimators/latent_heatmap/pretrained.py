"""LatentHeatmapRegressor on disk: weights in 16 bits, and a JSON file that says what they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from skhand._device import resolve_device
from skhand._weights import load_weights, save_weights
from skhand.estimators._data import DataDescription
from skhand.estimators._inputs import check_given
from skhand.exceptions import DataFileError, InputError
from skhand.skeleton import BONES, joint_index
from skhand.training import MODALITIES, CodecSettings, to_numpy

__all__ = ["check_agreement", "read_pretrained", "write_pretrained"]

_PARAMETERS = (
    "network",
    "heatmap",
    "width",
    "n_stacks",
    "fast",
    "backbone",
    "beta",
    "bone",
    "root",
    "mirror_left",
)
_LEARNED = ("root_depth_", "n_ambiguous_")


def write_pretrained(estimator: Any, path: str | Path, card: Mapping[str, Any]) -> None:
    """Write a fitted estimator that was given nothing.

    Parameters
    ----------
    estimator : LatentHeatmapRegressor
        Fitted.
    path : str or Path
        Ends in ``.safetensors``; a JSON file with the same name is written too.
    card : mapping
        What else the JSON file says: recipe, scores, licence, date.
    """
    meta = {
        "estimator": type(estimator).__name__,
        "parameters": {name: getattr(estimator, name) for name in _PARAMETERS} | estimator.architecture_,
        "learned": {
            "mean_bones": [round(float(length), 4) for length in estimator.mean_bones_],
            **{name: float(getattr(estimator, name)) for name in _LEARNED},
        },
        "preprocessing": {
            "image_shape": [int(size) for size in estimator.input_shape_],
            "pixels": "RGB, 0 to 255, divided by 255, minus 0.5",
        },
        **card,
    }
    save_weights(path, estimator.module_.state_dict(), meta)


def read_pretrained(estimator: Any, path: str | Path) -> dict[str, Any]:
    """Make an estimator what `write_pretrained` wrote, whatever it was.

    Parameters
    ----------
    estimator : LatentHeatmapRegressor
        Not fitted. What the file has among its parameters is taken from the file.
    path : str or Path
        The file.

    Returns
    -------
    meta : dict
        What the JSON file says.

    Raises
    ------
    DataFileError
        If the files are missing or damaged, or hold another model.
    InputError
        If ``given`` has "side", which these networks do not read.
    """
    if "side" in check_given(estimator.given):
        raise InputError("given: expected 'root' and 'scale' at most; got 'side', which weights do not take.")
    weights, meta = load_weights(path)
    try:
        parameters, learned = meta["parameters"], meta["learned"]
        shape = tuple(meta["preprocessing"]["image_shape"])
        estimator.set_params(**{**parameters, "bone": tuple(parameters["bone"])})
        described = DataDescription(
            "rgb",
            "pose3d",
            [("rgb", "pose3d")],
            check_given(estimator.given),
            estimator.root,
            True,
            (21, 3),
            {"rgb": shape, "pose3d": (21, 3)},
            int(np.prod(shape)),
        )
        estimator.__dict__.update(
            described.attributes(),
            _described=described,
            _split_seed=0,
            _finished=[None],
            _optimizer_state=None,
            _n_averaged=0,
            _n_passes=0,
            _average=None,
            n_iter_=0,
            history_={},
            interrupted_=False,
            bone_=tuple(parameters["bone"]),
            mean_bones_=np.array(learned["mean_bones"], dtype=np.float64),
            **{name: learned[name] for name in _LEARNED},
            scale_ratio_=_ratio(estimator.bone, np.array(learned["mean_bones"])),
            architecture_=estimator._architecture(),
            codecs_={"rgb": MODALITIES["rgb"].fit_codec({}, np.arange(0), CodecSettings())},
            device_=resolve_device(estimator.device),
        )
        estimator.module_ = estimator._live = estimator._rebuild(to_numpy(weights))
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        estimator.__dict__.pop("module_", None)
        raise DataFileError(f"{path}: holds no LatentHeatmapRegressor ({error}).") from error
    estimator.n_parameters_ = sum(weight.numel() for weight in estimator.module_.parameters())
    return meta


def check_agreement(estimator: Any, params: Mapping[str, Any]) -> None:
    """Check what a user asked for against what a file had.

    Parameters
    ----------
    estimator : LatentHeatmapRegressor
        As `read_pretrained` made it.
    params : mapping
        The user's parameters; a width or backbone of None is any.

    Raises
    ------
    InputError
        If one of them decides about the network, and is another one in the file.
    """
    for name in _PARAMETERS:
        wanted, found = params.get(name), getattr(estimator, name)
        if isinstance(wanted, list):
            wanted = tuple(wanted)
        if wanted is not None and wanted != found:
            raise InputError(f"{name}: expected {found!r}, as these weights have it, got {wanted!r}.")


def _ratio(bone: tuple[str, str], mean_bones: np.ndarray) -> float:
    """Return how long a bone is in mean lengths of the scale bone, which X's column ``scale`` has."""
    lengths = {frozenset(ends): length for ends, length in zip(BONES, mean_bones, strict=True)}
    ends = frozenset(joint_index(name) for name in bone)
    scale = frozenset(joint_index(name) for name in ("middle_mcp", "middle_pip"))
    return float(lengths[ends] / lengths[scale])
