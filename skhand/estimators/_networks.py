"""From parameters and data to pairs, codecs and networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skhand._validation import check_option
from skhand.estimators._inputs import MODALITIES
from skhand.exceptions import InputError
from skhand.nn import CrossModalVAE, ImageDecoder, ImageEncoder, VectorDecoder, VectorEncoder
from skhand.training import DepthCodec, PoseCodec, RGBCodec, VectorCodec


def pairs_of(variant: int, pairs: Sequence[tuple[str, str]] | None, source: str) -> list[tuple[str, str]]:
    """Return the (source, target) pairs of the paper's variant, or the user's own, checked."""
    if pairs is None:
        check_option(variant, "variant", (1, 2, 3, 4))
        chosen = [(source, "pose3d")]
        chosen += [(source, source)] if variant in (3, 4) else []
        return chosen + ([("pose3d", "pose3d")] if variant in (2, 4) else [])
    if len(pairs) == 0 or any(isinstance(pair, str) or len(pair) != 2 for pair in pairs):
        raise InputError(f"pairs: expected a list of (source, target) modalities, got {pairs!r}.")
    for pair in pairs:
        for modality in pair:
            check_option(modality, "pairs", MODALITIES)
    if len({tuple(pair) for pair in pairs}) < len(pairs):
        raise InputError(f"pairs: expected each pair once, got {pairs!r}.")
    return [(source, target) for source, target in pairs]


def fit_codecs(
    modalities: set[str], columns: dict[str, Any], rows: np.ndarray, *, poses: bool, given: tuple[str, ...],
    root: str | int,
) -> dict[str, Any]:
    """Return one codec a modality, with the statistics of the training rows."""
    codecs: dict[str, Any] = {}
    for modality in sorted(modalities):
        if modality == "rgb":
            codecs[modality] = RGBCodec()
        elif modality == "depth":
            codecs[modality] = DepthCodec.fit(columns["depth"], relative="root" in given)
        elif modality == "pose3d" and poses:
            y = columns["pose3d"][rows]
            labelled = ~np.isnan(y).all(axis=(1, 2))
            scale = np.asarray(columns["scale"])[rows][labelled] if "scale" in given else None
            codecs[modality] = PoseCodec.fit_poses(y[labelled], root if "root" in given else None, scale)
        else:
            isotropic = modality == "keypoints2d"
            codecs[modality] = VectorCodec.fit(modality, np.asarray(columns[modality])[rows], isotropic=isotropic)
    return codecs


def build_networks(
    pairs: Sequence[tuple[str, str]],
    shapes: dict[str, tuple[int, ...]],
    *,
    latent_dim: int,
    backbone: str,
    pretrained: bool,
    hidden_units: int,
    n_hidden_layers: int,
    side: bool,
) -> CrossModalVAE:
    """Return the encoders of all sources and the decoders of all targets.

    Parameters
    ----------
    pairs : sequence of (str, str)
        Source and target modality of each pair.
    shapes : dict of str to tuple of int
        Shape of one sample of each modality.
    latent_dim, backbone, pretrained, hidden_units, n_hidden_layers
        As in `CrossModalVAERegressor`.
    side : bool
        Whether encoders are given the side.

    Returns
    -------
    module : CrossModalVAE
    """
    layers = {"hidden_units": hidden_units, "n_layers": n_hidden_layers}
    encoders: dict[str, Any] = {}
    decoders: dict[str, Any] = {}
    for source, target in pairs:
        channels = {"rgb": 3, "depth": 1}
        if source not in encoders:
            if source in channels:
                encoders[source] = ImageEncoder(
                    backbone, channels[source], shapes[source][:2], latent_dim, side=side, pretrained=pretrained
                )
            else:
                n_inputs = int(np.prod(shapes[source]))
                encoders[source] = VectorEncoder(n_inputs, latent_dim, side=side, **layers)
        if target not in decoders:
            if target in channels:
                decoders[target] = ImageDecoder(latent_dim, channels[target], shapes[target][:2])
            else:
                decoders[target] = VectorDecoder(latent_dim, int(np.prod(shapes[target])), **layers)
    return CrossModalVAE(encoders, decoders)
