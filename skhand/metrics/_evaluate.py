"""Score an estimator, or predictions, by a named protocol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from skhand._doubts import warn_of_doubts
from skhand._validation import check_numbers, check_option, describe
from skhand.exceptions import InputError
from skhand.frames import HandFrames
from skhand.geometry import rotate_points
from skhand.metrics._compared import (
    convert_mask,
    convert_poses,
    read_labelled_poses,
    read_poses,
    take_compared_joints,
)
from skhand.metrics._errors import check_no_infinity, joint_errors
from skhand.metrics._evaluation import Evaluation
from skhand.metrics._protocols import GIVEN, Protocol
from skhand.metrics._published import PROTOCOLS
from skhand.metrics._remarks import describe_root, list_differences, list_doubts, list_notes
from skhand.skeleton import BONES, LAYOUTS, Layout

__all__ = ["evaluate", "evaluate_predictions"]


def evaluate(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    protocol: str | Protocol,
    visible: Any = None,
    given: Any = "estimator",
    layout: str | Layout | None = None,
    mean_bones: Any = None,
    palm_to_wrist: str | None = None,
) -> Evaluation:
    """Predict, and score the predictions as a paper does.

    Nothing is fitted or chosen here. Choose epochs, checkpoints and parameters on validation rows: the
    published code of LSPS reports the best iteration on the test rows, and such a number is no test error.

    Parameters
    ----------
    estimator : estimator
        Fitted; a pipeline or a search too. What was given to it is read from its attribute ``given_``, or
        the parameter ``given``: of a pipeline's last step, of a search's ``best_estimator_``.
    X : HandFrames or array-like of shape (n_samples, ...)
        Input rows.
    y : array-like of shape (n_samples, n_joints, n_dims) or (n_samples, n_joints * n_dims), mm or px
        True joints, in the protocol's unit. NaN joints do not count; rows without labels are passed over.
    protocol : str or Protocol
        A name in `PROTOCOLS`, or a protocol of one's own.
    visible : array-like of shape (n_samples, n_joints), bool, optional
        As in `evaluate_predictions`.
    given : tuple of {"root", "scale", "side"}, or None, default="estimator"
        What was given to the model in addition to X, where the estimator itself does not know it; None where
        nobody knows.
    layout, mean_bones, palm_to_wrist : optional
        As in `evaluate_predictions`.

    Returns
    -------
    evaluation : Evaluation
        Print it.

    Raises
    ------
    InputError
        As in `evaluate_predictions`, and if the estimator cannot predict or is not fitted.

    Warns
    -----
    UserWarning
        As in `evaluate_predictions`, and if the columns ``camera`` and ``keypoints2d`` of X contradict y or
        the size of the pictures.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from skhand.metrics import evaluate
    >>> y = np.arange(4 * 42.0).reshape(4, 42)
    >>> model = DummyRegressor().fit(y, y)
    >>> evaluate(model, y, y, protocol="nyu14", given=())
    <Evaluation by nyu14: EPE 72.75 mm, given nothing, 4 frames>
    """
    if not hasattr(estimator, "predict"):
        raise InputError(f"estimator: expected an object with a method predict, got {describe(estimator)}.")
    given = _find_given(estimator) if isinstance(given, str) and given == "estimator" else given
    task = _check_task(y, "y", protocol, visible, given, layout, mean_bones, palm_to_wrist)
    _warn_of_doubts(task, "y", X)
    try:
        y_pred = estimator.predict(X)
    except NotFittedError as error:
        raise InputError(
            f"estimator: expected a fitted one, got {type(estimator).__name__} that is not."
        ) from error
    return _score(task, y_pred, "y")


def evaluate_predictions(
    y_true: Any,
    y_pred: Any,
    *,
    protocol: str | Protocol,
    visible: Any = None,
    given: Any = None,
    layout: str | Layout | None = None,
    mean_bones: Any = None,
    palm_to_wrist: str | None = None,
) -> Evaluation:
    """Score predictions as a paper does.

    Parameters
    ----------
    y_true : array-like of shape (n_samples, n_joints, n_dims) or (n_samples, n_joints * n_dims), mm or px
        True joints, in the protocol's unit. NaN joints do not count.
    y_pred : array-like of shape (n_samples, n_joints, n_dims) or flattened, same unit
        Predicted joints, in one of the protocol's layouts: not always that of ``y_true``.
    protocol : str or Protocol
        A name in `PROTOCOLS`, or a protocol of one's own.
    visible : array-like of shape (n_samples, n_joints), bool, optional
        Visible joints of ``y_true``. A protocol that counts all joints does not use it; one that counts
        visible joints counts all labelled ones without it, and the result says so.
    given : tuple of {"root", "scale", "side"}, optional
        What was given to the model in addition to X: T, S, H. None, the default, means that it is not known.
    layout : str or Layout, optional
        What ``y_true`` comes in, also ``y_pred`` where its number of joints fits. By default the first of the
        protocol's layouts with the right number of joints: 21 joints are taken as canonical, so say
        ``layout="stb"`` or ``layout="rhd"`` for the data sets' own order.
    mean_bones : array-like of shape (20,), mm, optional
        For protocols with ``scale="mean_bones"``: mean lengths of the training hands' bones in the order of
        `skhand.skeleton.BONES`, for example ``bone_lengths(y_train).mean(axis=0)``.
    palm_to_wrist : {None, "ring", "middle"}, default=None
        The rule of `skhand.skeleton.convert` between a palm that the data set marks and the wrist. STB marks
        a palm; `load_stb` makes a wrist of it, by ``"ring"`` unless told. Say the same rule here, and the
        palm is STB's own again; without it, it is half way between wrist and middle MCP, 8.5 mm off. Where
        the palm came (``layout="stb"``), the rule makes the wrist, ``"ring"`` by default. Not for data sets
        that mark a wrist, as RHD.

    Returns
    -------
    evaluation : Evaluation
        Print it.

    Raises
    ------
    InputError
        If the protocol or layout is unknown, shapes or numbers of joints do not fit, nothing is labelled, or
        a prediction that counts is not finite.

    Warns
    -----
    UserWarning
        If true bones are not as long as bones are in mm, rows are 0 or joints -1 throughout, or poses that
        are relative to a root are compared with absolute ones.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import evaluate_predictions
    >>> y = np.random.default_rng(0).normal(size=(5, 36, 3))
    >>> result = evaluate_predictions(y, y + [0.0, 3.0, 4.0], protocol="nyu14", given=())
    >>> round(result.mean_epe, 6), result.n_joints
    (5.0, 70)
    """
    task = _check_task(y_true, "y_true", protocol, visible, given, layout, mean_bones, palm_to_wrist)
    _warn_of_doubts(task, "y_true")
    return _score(task, y_pred, "y_true")


@dataclass(frozen=True, eq=False)
class _Task:
    """All that an evaluation needs but the predictions, checked."""

    protocol: Protocol
    true: np.ndarray
    layout: Layout
    chosen: tuple[Layout, ...]
    mask: np.ndarray | None
    masked: bool
    given: tuple[str, ...] | None
    mean_bones: np.ndarray | None
    rule: str | None


def _check_task(
    y: Any, name: str, protocol: Any, visible: Any, given: Any, layout: Any, mean_bones: Any, rule: Any
) -> _Task:
    protocol = _check_protocol(protocol)
    chosen = () if layout is None else (_check_layout(layout),)
    check_option(rule, "palm_to_wrist", (None, "ring", "middle"))
    true, true_layout = read_labelled_poses(y, protocol, chosen or protocol.layouts, name)
    given = _check_given(given)
    if protocol.scale == "true_bone" and given is not None:
        given = tuple(name for name in GIVEN if name in (*given, "scale"))
    if mean_bones is not None:
        mean_bones = check_numbers(
            mean_bones, "mean_bones", (len(BONES),), low=0, include_low=False, what="lengths above 0 (mm)"
        )
    mask = None if visible is None else convert_mask(visible, true, true_layout, protocol, rule)
    mask = mask if protocol.visible == "visible" else None
    if mask is not None:
        joints = convert_poses(true, true_layout, Layout(protocol.name, protocol.joints), rule)
        if not (mask & np.isfinite(joints).all(axis=2)).any():
            raise InputError(
                f"visible: expected at least one labelled and visible joint in {name}, got none."
            )
    return _Task(protocol, true, true_layout, chosen, mask, visible is not None, given, mean_bones, rule)


def _warn_of_doubts(task: _Task, name: str, X: Any = None) -> None:
    """Warn where the truth, or the camera and keypoints of its rows, look wrong."""
    if task.protocol.n_dims != 3 or task.protocol.unit != "mm":
        return
    columns: dict[str, Any] = {}
    poses = task.true
    if isinstance(X, HandFrames) and len(X) == len(poses):
        columns = {column: getattr(X, column) for column in X.columns}
        poses = rotate_points(poses, X.rotation) if "rotation" in columns else poses
    warn_of_doubts(columns, poses, name)


def _score(task: _Task, y_pred: Any, name: str) -> Evaluation:
    protocol, rule = task.protocol, task.rule
    pred, pred_layout = read_poses(y_pred, protocol, (*task.chosen, *protocol.layouts), "y_pred")
    check_no_infinity(pred, "y_pred")
    if len(task.true) != len(pred):
        hint = "; y takes one label for each row of X" if name == "y" else ""
        raise InputError(f"y_pred: expected {len(task.true)} rows as y_true has, got {len(pred)}{hint}.")
    true, pred = take_compared_joints(
        task.true, task.layout, pred, pred_layout, protocol, task.mean_bones, rule
    )
    errors = {
        align: joint_errors(
            true,
            pred,
            visible=task.mask,
            align=align,
            root=0 if protocol.root is None else protocol.joints.index(protocol.root),
            root_joint=protocol.root_joint,
        )
        for align in protocol.align
    }
    measured = task.mean_bones is not None
    differs = list_differences(protocol, task.given, task.layout, rule, masked=task.masked, measured=measured)
    roots = [describe_root(protocol, layout, rule) for layout in (task.layout, pred_layout)]
    return Evaluation(
        protocol,
        task.given,
        errors,
        differs=(*differs, *list_doubts(task.true, task.layout, protocol)),
        notes=tuple(list_notes(protocol, len(true))),
        root=roots[0] if roots[0] == roots[1] else f"{roots[0]}; in y_pred {roots[1]}",
        counted="all" if task.mask is None else "visible",
    )


def _find_given(estimator: Any) -> Any:
    """Find what was given, in the estimator or the one inside; None where none says it."""
    while estimator is not None:
        for name in ("given_", "given"):
            if hasattr(estimator, name):
                return getattr(estimator, name)
        steps = getattr(estimator, "steps", None)
        inner = steps[-1][1] if steps else getattr(estimator, "best_estimator_", None)
        estimator = getattr(estimator, "regressor_", None) if inner is None else inner
    return None


def _check_given(given: Any) -> tuple[str, ...] | None:
    if given is None:
        return None
    given = (given,) if isinstance(given, str) else given
    if not isinstance(given, tuple | list | set | frozenset):
        raise InputError(f"given: expected a tuple of {', '.join(map(repr, GIVEN))}, got {given!r}.")
    chosen = [check_option(name, "given", GIVEN) for name in given]
    return tuple(name for name in GIVEN if name in chosen)


def _check_protocol(protocol: Any) -> Protocol:
    if isinstance(protocol, Protocol):
        return protocol
    return PROTOCOLS[check_option(protocol, "protocol", PROTOCOLS)]


def _check_layout(layout: Any) -> Layout:
    return layout if isinstance(layout, Layout) else LAYOUTS[check_option(layout, "layout", LAYOUTS)]
