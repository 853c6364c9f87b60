"""Save fitted estimators, transformers and pipelines to files that run no code when they are loaded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

import skhand
from skhand import detection, estimators, preprocessing, tracking
from skhand._validation import describe
from skhand._weights import read_arrays, write_arrays
from skhand.estimators._base import PoseEstimator
from skhand.estimators._data import DataDescription
from skhand.estimators.sim_to_real.terms import SignedCodec
from skhand.exceptions import DataFileError, InputError
from skhand.training import MODALITIES, flatten, restore

__all__ = ["load", "save"]

_FORMAT = 1
_LEFT_OUT = ("callbacks", "checkpoint")  # parameters that are code, or a place on this machine
_KEPT = (
    "_described",
    "_finished",
    "_n_averaged",
    "_n_before",
    "_n_passes",
    "_sklearn_output_config",
    "_split_seed",
)
_FITTED = re.compile(r"[A-Za-z][A-Za-z0-9_]*_")


def _list_classes() -> dict[str, type]:
    """Return the estimators and transformers that files may hold, by name."""
    rooms = (estimators, preprocessing, detection, tracking)
    named = {name: getattr(room, name) for room in rooms for name in room.__all__}
    return {
        name: each
        for name, each in named.items()
        if isinstance(each, type) and issubclass(each, BaseEstimator)
    }


def _list_parts() -> dict[str, type]:
    """Return what fitted estimators may consist of, by name: codecs of the modalities, and a description."""
    modules = [vars(sys.modules[type(record).__module__]) for record in MODALITIES.values()]
    codecs = {
        name: each
        for module in modules
        for name, each in module.items()
        if isinstance(each, type) and hasattr(each, "encode") and hasattr(each, "decode")
    }
    return {**codecs, "SignedCodec": SignedCodec, "DataDescription": DataDescription}


_CLASSES, _PARTS = _list_classes(), _list_parts()


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save an estimator, a transformer or a pipeline of them.

    Two files are written: arrays as safetensors, exactly as they are, and JSON with the same name, which has
    the parameters and all else. Neither holds training data, the optimiser's state, ``callbacks`` or
    ``checkpoint``: a training that goes on has a new optimiser. ``pickle`` and ``joblib`` keep those too;
    their files run code when they are loaded, so load only those of people you trust.

    Parameters
    ----------
    estimator : estimator, transformer or Pipeline
        Of skhand's, or a `~sklearn.pipeline.Pipeline` of these; fitted or not.
    path : str or path
        Ends in ``.safetensors``. The other file ends in ``.json``.

    Raises
    ------
    InputError
        If it, a step or a parameter is something else, such as a class of your own.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from skhand.persistence import load, save
    >>> from skhand.preprocessing import HandCropper
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(HandCropper(96), Path(folder) / "cropper.safetensors")
    ...     load(Path(folder) / "cropper.safetensors")
    HandCropper(size=96)
    """
    path = _check_path(path)
    arrays: list[np.ndarray] = []
    content = _write_model(estimator, "estimator", arrays)
    named = {str(i): array for i, array in enumerate(arrays)}
    meta = {"format": _FORMAT, "skhand": skhand.__version__, "content": content}
    try:
        write_arrays(path, named, {**meta, "sha256": _digest(content, named)})
    except OSError as error:
        raise InputError(f"path: expected a file that can be written, got {path} ({error}).") from error


def load(path: str | os.PathLike[str]) -> Any:
    """Load what `save` wrote. No code of the file is run: it only names classes of skhand.

    Parameters
    ----------
    path : str or path
        The ``.safetensors`` file; the JSON file is beside it.

    Returns
    -------
    estimator : estimator, transformer or Pipeline
        It predicts to the last bit what was saved, on the same kind of processor.

    Raises
    ------
    DataFileError
        If a file is missing, damaged, or not as `save` writes it; if the two are not of one call; or if a
        later version of skhand wrote what this one does not know.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from skhand.datasets import make_hands
    >>> from skhand.estimators import CrossModalVAERegressor
    >>> from skhand.persistence import load, save
    >>> hands = make_hands(16, images=(), random_state=0)
    >>> X = hands.data.keypoints2d
    >>> est = CrossModalVAERegressor(max_epochs=1, random_state=0).fit(X, hands.target)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(est, Path(folder) / "hands.safetensors")
    ...     back = load(Path(folder) / "hands.safetensors")
    >>> np.array_equal(back.predict(X), est.predict(X))
    True
    """
    path = _check_path(path)
    arrays, meta = read_arrays(path)
    version = str(meta.get("skhand"))[:40]
    if meta.get("format") != _FORMAT:
        raise DataFileError(
            f"{path}: expected the format {_FORMAT}, got {str(meta.get('format'))[:40]}, "
            f"of skhand {version}; this is skhand {skhand.__version__}."
        )
    try:
        if meta["sha256"] != _digest(meta["content"], arrays):
            raise ValueError("it was changed, or its two files are of two calls of save")
        return _read(meta["content"], arrays)
    except Exception as error:  # what a hostile file holds raises whatever it leads to
        what = error if type(error) in (ValueError, InputError) else f"{type(error).__name__}: {error}"
        raise DataFileError(
            f"{path}: holds nothing that skhand {skhand.__version__} can load ({what}); "
            f"skhand {version} wrote it."
        ) from error


def _check_path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike) or Path(path).suffix != ".safetensors":
        raise InputError(f"path: expected a path that ends in .safetensors, got {path!r}.")
    return Path(path)


def _digest(content: Any, arrays: Mapping[str, np.ndarray]) -> str:
    """Return a text that tells the content of both files from any other."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype.str} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


# ---------------------------------------------------------------- writing


def _write(value: Any, name: str, arrays: list[np.ndarray]) -> Any:
    """Return JSON for a value, which an error calls by this name; arrays are added to the list."""

    def write_other(other: Any) -> Any:
        kind = type(other).__name__
        if _PARTS.get(kind) is type(other):
            return {"part": [kind, _write(vars(other), name, arrays)]}
        if type(other) is Pipeline:
            return {"pipeline": [[step, _write_model(each, step, arrays)] for step, each in other.steps]}
        if _CLASSES.get(kind) is type(other):
            return {"estimator": [kind, *_write_estimator(other, arrays)]}
        raise InputError(
            f"{name}: expected numbers, strings, arrays, or estimators and transformers of skhand, to be "
            f"saved without code; got {describe(other)}. joblib.dump saves anything."
        )

    return flatten(value, arrays, write_other)


def _write_model(model: Any, name: str, arrays: list[np.ndarray]) -> Any:
    """Return JSON for an estimator, a transformer, a pipeline, or a step left out of one."""
    kind = type(model)
    no_step = name != "estimator" and (model is None or (kind is str and model == "passthrough"))
    if kind is not Pipeline and _CLASSES.get(kind.__name__) is not kind and not no_step:
        raise InputError(
            f"{name}: expected an estimator or a transformer of skhand, or a Pipeline of them, to be saved "
            f"without code; got {describe(model)}. joblib.dump saves anything."
        )
    return _write(model, name, arrays)


def _write_estimator(estimator: Any, arrays: list[np.ndarray]) -> tuple[Any, Any]:
    """Return JSON for the parameters of an estimator, and for what was fitted."""
    parameters = estimator.get_params(deep=False)
    if parameters.get("weights") is not None:
        raise InputError(
            f"weights: expected None, to be saved, got {parameters['weights']!r}: the file stays where it is."
        )
    state = {
        name: value
        for name, value in estimator.__getstate__().items()
        if name not in parameters and _is_fitted(name) and not isinstance(value, BaseEstimator)
    }
    kept = {name: value for name, value in parameters.items() if name not in _LEFT_OUT}
    return tuple(
        {name: _write(value, name, arrays) for name, value in values.items()} for values in (kept, state)
    )  # type: ignore[return-value]


def _is_fitted(name: Any) -> bool:
    """Tell whether a fitted attribute has such a name."""
    return name in _KEPT or (isinstance(name, str) and _FITTED.fullmatch(name) is not None)


# ---------------------------------------------------------------- reading


def _read(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return what JSON and arrays stand for."""

    def read_part(value: Any) -> Any:
        kind, content = value
        part: Any = object.__new__(_PARTS[kind])
        state = _read(content, arrays)
        odd = [name for name in state if name.startswith("__") or callable(getattr(part, name, None))]
        if odd:
            raise ValueError(f"it sets {odd[0][:60]!r} of {kind}")
        vars(part).update(state)
        return part

    def read_pipeline(value: Any) -> Pipeline:
        return Pipeline([(str(step), _read(each, arrays)) for step, each in value])

    def read_estimator(value: Any) -> Any:
        kind, parameters, state = value
        if kind not in _CLASSES:
            raise ValueError(f"it has the class {str(kind)[:60]!r}, which is none of skhand's")
        read = [{name: _read(each, arrays) for name, each in part.items()} for part in (parameters, state)]
        return _make_estimator(_CLASSES[kind], *read)

    return restore(tree, arrays, {"part": read_part, "pipeline": read_pipeline, "estimator": read_estimator})


def _make_estimator(cls: Any, parameters: dict[str, Any], state: dict[str, Any]) -> Any:
    """Return an estimator with these parameters and fitted attributes.

    Raises
    ------
    ValueError
        If this version's class has no such parameter, or the file sets what is no fitted attribute.
    """
    unknown = [name for name in parameters if name not in cls._get_param_names() or name in _LEFT_OUT]
    if unknown:
        raise ValueError(f"it has the parameter {unknown[0][:60]!r}, which {cls.__name__} does not have here")
    if parameters.get("weights") is not None:
        raise ValueError("it names a file of weights")
    odd = [name for name in state if name in parameters or not _is_fitted(name)]
    if odd:
        raise ValueError(f"it sets {odd[0][:60]!r} of {cls.__name__}")
    estimator = cls(**parameters)
    if not isinstance(estimator, PoseEstimator):
        estimator.__setstate__(state)
        return estimator
    estimator._check_parameters(set(parameters) - {"device"})  # this machine may have another one
    if "module_" in state:
        probe = cls(**parameters).set_params(
            **{name: value for name, value in state["architecture_"].items() if name in parameters}
        )
        probe._check_parameters(state["architecture_"])
        if type(state["_described"]) is not DataDescription:
            raise TypeError("it does not describe the data")
        state = {**state, "_optimizer_state": None, "_live_weights": None}
    estimator.__setstate__({**vars(estimator), **state})
    return estimator
