"""Make scorers of the metrics, for cross_val_score and GridSearchCV, also where y has three axes.

Each ready-made scorer is an attribute of this module (``neg_epe``, ``pck_scorer``), and `get_scorer` finds it
by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from sklearn.metrics._scorer import _Scorer

from skhand._validation import check_bool, check_option, describe
from skhand.exceptions import InputError
from skhand.metrics import _epe, _pck

__all__ = ["get_scorer", "get_scorer_names", "make_pose_scorer"]

# name -> (metric, whether more is better, its own default options)
_SCORERS: dict[str, tuple[Callable[..., Any], bool, dict[str, Any]]] = {
    "neg_epe": (_epe.mean_epe, False, {}),
    "neg_mean_epe": (_epe.mean_epe, False, {}),
    "neg_median_epe": (_epe.median_epe, False, {}),
    "pck": (_pck.pck, True, {"threshold": 30.0}),
    "pck_auc": (_pck.pck_auc, True, {"thresholds": "hand3d"}),
    "pcf": (_pck.pcf, True, {"threshold": 40.0}),
    "pckh": (_pck.pckh, True, {"threshold": 0.5, "align": None}),
}


class _PoseScorer(_Scorer):
    """Score an estimator's predictions: scikit-learn's scorer, whose errors name the estimator and X.

    Parameters
    ----------
    estimator : estimator
        Fitted, with a method ``predict``.
    X : HandFrames or array-like of shape (n_samples, ...)
        Input rows.
    y_true : array-like of shape (n_samples, n_joints, n_dims) or flattened, mm or px
        True joints.
    sample_weight : None, default=None
        Of scikit-learn's scorers; no pose metric takes it.
    **kwargs
        What metadata routing hands to the metric.
    """

    def _score(self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **kwargs: Any) -> float:
        if not hasattr(estimator, "predict"):
            raise InputError(
                f"estimator: expected an object with a method predict, got {describe(estimator)}."
            )
        n_rows, n_labels = (next(iter(getattr(each, "shape", ())), None) for each in (X, y_true))
        if None not in (n_rows, n_labels) and n_rows != n_labels:  # what has no shape the metric counts
            raise InputError(f"X: expected as many rows as y_true ({n_labels}), got {n_rows}.")
        return super()._score(method_caller, estimator, X, y_true, **kwargs)


def make_pose_scorer(metric: Callable[..., float], *, greater_is_better: bool = True, **options: Any) -> Any:
    """Make a scorer from a pose metric.

    The scorer calls ``estimator.predict(X)`` and hands truth and prediction to ``metric`` as they are: each
    of shape (n_samples, n_joints, n_dims) or flattened. The metrics of this package ignore NaN targets and
    raise an error for NaN predictions.

    Parameters
    ----------
    metric : callable
        ``metric(y_true, y_pred, **options) -> float``. For pickling, a function with a name.
    greater_is_better : bool, default=True
        False for an error: the scorer then returns its negative.
    **options
        Keyword arguments of ``metric``. Without ``align`` nothing is aligned.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y) -> float``. Like scikit-learn's own, it takes part in metadata routing:
        ``scorer.set_score_request(visible=True)`` hands each fold its part of a visibility mask.

    Raises
    ------
    InputError
        If ``metric`` is not callable or does not know an option.

    Examples
    --------
    >>> from skhand.metrics import make_pose_scorer, median_epe
    >>> make_pose_scorer(median_epe, greater_is_better=False, align="procrustes")
    make_scorer(median_epe, greater_is_better=False, response_method='predict', align=procrustes)
    """
    if not callable(metric):
        raise InputError(f"metric: expected a function metric(y_true, y_pred), got {metric!r}.")
    check_bool(greater_is_better, "greater_is_better")
    try:
        known = inspect.signature(metric).parameters
    except ValueError as error:  # int and others of C have none
        raise InputError(f"metric: expected a function metric(y_true, y_pred), got {metric!r}.") from error
    if len(known) < 2 and not any(each.kind is each.VAR_POSITIONAL for each in known.values()):
        raise InputError(f"metric: expected a function metric(y_true, y_pred), got {metric!r}.")
    for option in options:
        check_option(option, f"options of {metric.__name__}", known)
    return _PoseScorer(metric, 1 if greater_is_better else -1, options, response_method="predict")


def get_scorer(name: str, **options: Any) -> Any:
    """Find a ready-made scorer by its name.

    scikit-learn does not find it: ``scoring=get_scorer("neg_epe")``, and not ``scoring="neg_epe"``. All but
    ``"pckh"`` align the root: truth and prediction are both taken relative to their palm, so that absolute
    and root-relative predictions get the same score.

    Parameters
    ----------
    name : {"neg_epe", "neg_mean_epe", "neg_median_epe", "pck", "pck_auc", "pcf", "pckh"}
        ``"neg_epe"`` and ``"neg_mean_epe"`` are the same. ``"pck"`` counts errors up to 30, ``"pcf"`` up to
        40, ``"pck_auc"`` has the grid of Zimmermann & Brox (2017), in the unit of y. ``"pckh"`` takes
        ``head_size`` through metadata routing.
    **options
        Keyword arguments of the metric that differ from the scorer's, for example ``align="procrustes"``,
        ``align=None``, ``root=0`` or ``thresholds="freihand"``.

    Returns
    -------
    scorer : callable
        ``scorer(estimator, X, y) -> float``, more is better.

    Raises
    ------
    InputError
        If there is no scorer of that name.

    Examples
    --------
    >>> from skhand.metrics import get_scorer
    >>> get_scorer("neg_epe", root="wrist")
    make_scorer(mean_epe, greater_is_better=False, response_method='predict', align=root, root=wrist)
    """
    metric, greater_is_better, defaults = _SCORERS[check_option(name, "name", _SCORERS)]
    kwargs = {"align": "root", "root": "palm", **defaults, **options}
    return make_pose_scorer(metric, greater_is_better=greater_is_better, **kwargs)


def get_scorer_names() -> list[str]:
    """List the names that `get_scorer` knows.

    Returns
    -------
    names : list of str

    Examples
    --------
    >>> from skhand.metrics import get_scorer_names
    >>> get_scorer_names()
    ['neg_epe', 'neg_mean_epe', 'neg_median_epe', 'pck', 'pck_auc', 'pcf', 'pckh']
    """
    return list(_SCORERS)


neg_epe = get_scorer("neg_epe")
neg_mean_epe = get_scorer("neg_mean_epe")
neg_median_epe = get_scorer("neg_median_epe")
pck_scorer = get_scorer("pck")
pck_auc_scorer = get_scorer("pck_auc")
pcf_scorer = get_scorer("pcf")
pckh_scorer = get_scorer("pckh")
