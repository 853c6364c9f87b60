"""Score an estimator, or predictions, by a named protocol."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError

from skhand._validation import check_option, check_shape, describe
from skhand.exceptions import InputError
from skhand.metrics._compared import compared_joints, labelled_joints, poses_in_layout, visible_joints
from skhand.metrics._errors import joint_errors
from skhand.metrics._evaluation import Evaluation
from skhand.metrics._protocols import GIVEN, Protocol, given_name
from skhand.metrics._published import PROTOCOLS
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
        What was given to the model beside X, where the estimator itself does not know it; None where nobody
        knows.
    layout, mean_bones : optional
        As in `evaluate_predictions`.

    Returns
    -------
    evaluation : Evaluation
        Print it.

    Raises
    ------
    InputError
        As in `evaluate_predictions`, and if the estimator cannot predict or is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyRegressor
    >>> from skhand.metrics import evaluate
    >>> y = np.arange(4 * 42.0).reshape(4, 42)
    >>> model = DummyRegressor().fit(y, y)
    >>> evaluate(model, y, y, protocol="nyu14", given=())
    <Evaluation by nyu14: EPE 72.75 mm, given nothing, 4 frames, differs from the paper>
    """
    protocol = _check_protocol(protocol)
    if not hasattr(estimator, "predict"):
        raise InputError(f"estimator: expected an object with a method predict, got {describe(estimator)}.")
    labelled_joints(y, protocol, protocol.layouts if layout is None else (_check_layout(layout),), "y")
    try:
        y_pred = estimator.predict(X)
    except NotFittedError as error:
        raise InputError(
            f"estimator: expected a fitted one, got {type(estimator).__name__} that is not."
        ) from error
    return evaluate_predictions(
        y,
        y_pred,
        protocol=protocol,
        visible=visible,
        given=_given_of(estimator) if isinstance(given, str) and given == "estimator" else given,
        layout=layout,
        mean_bones=mean_bones,
    )


def evaluate_predictions(
    y_true: Any,
    y_pred: Any,
    *,
    protocol: str | Protocol,
    visible: Any = None,
    given: Any = None,
    layout: str | Layout | None = None,
    mean_bones: Any = None,
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
        What was given to the model beside X: T, S, H. None, the default, means that it is not known.
    layout : str or Layout, optional
        What ``y_true`` comes in, also ``y_pred`` where its number of joints fits. By default the first of the
        protocol's layouts with the right number of joints: 21 joints are taken as canonical, so say
        ``layout="stb"`` or ``layout="rhd"`` for the data sets' own order.
    mean_bones : array-like of shape (20,), mm, optional
        For protocols with ``scale="mean_bones"``: mean lengths of the training hands' bones in the order of
        `skhand.skeleton.BONES`, for example ``bone_lengths(y_train).mean(axis=0)``.

    Returns
    -------
    evaluation : Evaluation
        Print it.

    Raises
    ------
    InputError
        If the protocol or layout is unknown, shapes or numbers of joints do not fit, nothing is labelled, or
        a prediction that counts is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand.metrics import evaluate_predictions
    >>> y = np.random.default_rng(0).normal(size=(5, 36, 3))
    >>> result = evaluate_predictions(y, y + [0.0, 3.0, 4.0], protocol="nyu14", given=())
    >>> round(result.mean_epe, 6), result.n_joints
    (5.0, 70)
    """
    protocol = _check_protocol(protocol)
    chosen = () if layout is None else (_check_layout(layout),)
    true, true_layout = labelled_joints(y_true, protocol, chosen or protocol.layouts, "y_true")
    pred, pred_layout = poses_in_layout(y_pred, protocol, (*chosen, *protocol.layouts), "y_pred")
    if len(true) != len(pred):
        raise InputError(f"y_pred: expected {len(true)} rows as y_true has, got {len(pred)}.")
    given = _check_given(given)
    if mean_bones is not None:
        mean_bones = check_shape(mean_bones, "mean_bones", (len(BONES),)).astype(np.float64)
        if not (mean_bones > 0).all():
            raise InputError(f"mean_bones: expected lengths above 0 (mm), got {mean_bones}.")
    if protocol.scale == "true_bone":
        given = None if given is None else tuple(name for name in GIVEN if name in (*given, "scale"))
    mask = None if visible is None else visible_joints(visible, true, true_layout, protocol)
    mask = mask if protocol.visible == "visible" else None
    true, pred = compared_joints(true, true_layout, pred, pred_layout, protocol, mean_bones)
    errors = {
        align: joint_errors(
            true,
            pred,
            visible=mask,
            align=align,
            root=0 if protocol.root is None else protocol.joints.index(protocol.root),
            root_joint=protocol.root_joint,
        )
        for align in protocol.align
    }
    differs = _differences(protocol, given, len(true), visible is not None, mean_bones is not None)
    return Evaluation(protocol, given, errors, tuple(differs), "all" if mask is None else "visible")


def _differences(
    protocol: Protocol, given: tuple[str, ...] | None, n_rows: int, masked: bool, measured: bool
) -> list[str]:
    """Say in words what is not as in the protocol's paper."""
    out = []
    published = PROTOCOLS.get(protocol.name, protocol)
    for field in fields(protocol):
        mine, other = getattr(protocol, field.name), getattr(published, field.name)
        if mine != other:
            out.append(f"{field.name} is {mine!r}, not {protocol.name}'s own {other!r}")
    if protocol.given is not None and (given is None or set(given) != set(protocol.given)):
        here = "what was given is not stated" if given is None else f"given {given_name(given)}"
        out.append(f"{here}; the protocol's paper gives {given_name(protocol.given)}")
    if protocol.visible == "visible" and not masked:
        out.append("no visibility mask came: all labelled joints count, not the visible ones only")
    if protocol.scale == "mean_bones" and not measured:
        out.append("no mean_bones came: predictions keep their own size")
    if protocol.n_frames and n_rows not in protocol.n_frames:
        out.append(f"{n_rows} rows; the whole test set has {' or '.join(map(str, protocol.n_frames))}")
    return out


def _given_of(estimator: Any) -> Any:
    """What was given, from the estimator or the one inside; None where none says it."""
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
