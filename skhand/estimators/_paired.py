"""Base of the estimators whose modalities have encoders and decoders: their parameters and codecs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from skhand._validation import check_option
from skhand.estimators._base import PoseEstimator, Run
from skhand.estimators._inputs import check_given
from skhand.estimators._latent import LatentSpaceMixin
from skhand.estimators._parameters import Check, number, one_of, width
from skhand.exceptions import InputError
from skhand.nn import BACKBONES
from skhand.training import DECODERS, MODALITIES, CodecSettings, Layers

__all__ = ["PairedPoseEstimator", "resolve_pairs"]


class PairedPoseEstimator(LatentSpaceMixin, PoseEstimator):
    """Base of the estimators that are trained on pairs of modalities around a latent space."""

    _checks: ClassVar[Mapping[str, Check]] = {
        **PoseEstimator._checks,
        "backbone": one_of(*BACKBONES),
        "beta": number(low=0),
        "decoder": one_of(*DECODERS),
        "hidden_units": width(),
        "latent_dim": width(),
        "n_hidden_layers": width(1000),
        "pretrained": one_of(False, True, "imagenet", "hands"),
    }

    def _layers(self) -> Layers:
        """Return how the parameters say that encoders and decoders are built."""
        return Layers(
            self.backbone,
            False,
            self.decoder,
            self.hidden_units,
            self.n_hidden_layers,
            "side" in check_given(self.given),
        )

    def _fitted_and_wanted(self) -> tuple[dict[str, Any], dict[str, Any]]:
        fitted, wanted = super()._fitted_and_wanted()
        known = self.source == "auto" and getattr(self, "pairs", None) is None
        return (
            {**fitted, "pairs": self.pairs_},
            {**wanted, "pairs": self._pairs(self.source_ if known else self.source)},
        )

    def _fitted_layers(self, pretrained: str | bool) -> Layers:
        """Return how the encoders and decoders are built that were fitted."""
        names = Layers.__dataclass_fields__
        made = {name: value for name, value in self.architecture_.items() if name in names}
        return Layers(**{**made, "pretrained": "imagenet" if pretrained is True else pretrained})

    def _start(self, run: Run) -> None:
        """Fit the codecs, and describe the networks."""
        run.data.require(self.pairs_[0])
        if run.goes_on:
            return
        data = run.data
        settings = CodecSettings(self.given_, self.root_, self.poses_)
        modalities = sorted({modality for pair in self.pairs_ for modality in pair})
        self.codecs_ = {
            name: MODALITIES[name].fit_codec(data.columns, data.rows, settings) for name in modalities
        }
        self.scale_mean_ = 1.0
        if "scale" in self.given_:
            scale = np.asarray(data.columns["scale"], dtype=np.float64)[data.rows]
            self.scale_mean_ = float(scale[scale > 0].mean())  # of unlabelled rows it may be unknown
        self.architecture_ = self._architecture()
        self.latent_mean_ = np.zeros(self._n_latent())  # the prior, until the training rows have spoken
        self.latent_cov_ = np.eye(self._n_latent())

    def _objective_settings(self, run: Run) -> dict[str, Any]:
        """Return the settings of `skhand.training.Objective`."""
        return {
            "codecs": self.codecs_,
            "augment": run.augment,
            "use_side": "side" in self.given_,
            "dtype": run.dtype,
        }


def resolve_pairs(
    variant: int, pairs: Sequence[tuple[str, str]] | None, source: str
) -> list[tuple[str, str]]:
    """Return the (source, target) pairs of the paper's variant, or the user's own, checked.

    ``source`` is the modality of X, or "auto" where ``pairs`` name it.
    """
    if pairs is None:
        check_option(variant, "variant", (1, 2, 3, 4))
        chosen = [(source, "pose3d")]
        chosen += [(source, source)] if variant in (3, 4) else []
        return chosen + ([("pose3d", "pose3d")] if variant in (2, 4) else [])
    if not isinstance(pairs, tuple | list) or len(pairs) == 0:
        raise InputError(f"pairs: expected a list of (source, target) modalities, got {pairs!r}.")
    if any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
        raise InputError(f"pairs: expected a list of (source, target) modalities, got {pairs!r}.")
    for pair in pairs:
        for modality in pair:
            check_option(modality, "pairs", tuple(MODALITIES))
    if source not in ("auto", pairs[0][0]):
        raise InputError(
            f"source: expected 'auto' or the first pair's source {pairs[0][0]!r}, got {source!r}."
        )
    if len({tuple(pair) for pair in pairs}) < len(pairs):
        raise InputError(f"pairs: expected each pair once, got {pairs!r}.")
    return [(source, target) for source, target in pairs]
