"""Caption of an estimator in a notebook, above its parameters and fitted attributes."""

from __future__ import annotations

from collections import Counter
from typing import Any

__all__ = ["make_visual_block", "summarise"]

_GIVEN = {"root": "root (T)", "scale": "scale (S)", "side": "side (H)"}


def summarise(estimator: Any) -> str:
    """Say in one line what is given, which stages there are, and how far the estimator is fitted.

    It never raises: parameters that ``fit`` would refuse are shown as they are.
    """
    fitted = estimator.__sklearn_is_fitted__()
    given = vars(estimator).get("given_", estimator.given)
    names = list(given) if isinstance(given, tuple | list) else [given]
    parts = [f"given: {', '.join(_GIVEN.get(str(name), repr(name)) for name in names) or 'nothing'}"]
    stages = vars(estimator).get("stages_", getattr(estimator, "stages", None))
    if stages is not None:
        parts.append(
            f"stages: {' → '.join(map(str, stages)) if isinstance(stages, tuple | list) else stages}"
        )
    if not fitted:
        return "; ".join([*parts, "not fitted"])
    epochs = Counter(estimator.history_.get("stage", []))
    each = f" ({', '.join(f'{stage} {count}' for stage, count in epochs.items())})" if epochs else ""
    parts.append(f"{estimator.n_parameters_:,} weights")
    n_epochs = f"{estimator.n_iter_} epoch{'' if estimator.n_iter_ == 1 else 's'}{each}"
    parts.append(f"fitted, {n_epochs}" if estimator.n_iter_ else "pretrained")
    return "; ".join(parts)


def make_visual_block(estimator: Any) -> Any:
    """Return the block that scikit-learn draws the estimator as, with the summary under its name.

    Where scikit-learn's block has moved, scikit-learn catches the error and draws its own.
    """
    from sklearn.utils._repr_html.estimator import _VisualBlock

    name = type(estimator).__name__
    caption = summarise(estimator)
    return _VisualBlock("single", estimator, names=name, name_details=str(estimator), name_caption=caption)
