"""From parameters and data to pairs, codecs and networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from skhand._validation import check_option
from skhand.estimators._inputs import MODALITIES
from skhand.exceptions import InputError
from skhand.nn import (
    CrossModalVAE,
    ImageDecoder,
    ImageEncoder,
    InjectionDecoder,
    VectorDecoder,
    VectorEncoder,
)
from skhand.training import DepthCodec, PoseCodec, RGBCodec, VectorCodec

CHANNELS = {"rgb": 3, "depth": 1}
DECODERS: dict[str, Any] = {"plain": VectorDecoder, "injection": InjectionDecoder}


def pairs_of(variant: int, pairs: Sequence[tuple[str, str]] | None, source: str) -> list[tuple[str, str]]:
    """Return the (source, target) pairs of the paper's variant, or the user's own, checked.

    ``source`` is the modality of X, or "auto" where ``pairs`` name it.
    """
    if pairs is None:
        check_option(variant, "variant", (1, 2, 3, 4))
        chosen = [(source, "pose3d")]
        chosen += [(source, source)] if variant in (3, 4) else []
        return chosen + ([("pose3d", "pose3d")] if variant in (2, 4) else [])
    if len(pairs) == 0 or any(not isinstance(pair, tuple | list) or len(pair) != 2 for pair in pairs):
        raise InputError(f"pairs: expected a list of (source, target) modalities, got {pairs!r}.")
    for pair in pairs:
        for modality in pair:
            check_option(modality, "pairs", MODALITIES)
    if source not in ("auto", pairs[0][0]):
        raise InputError(
            f"source: expected 'auto' or the first pair's source {pairs[0][0]!r}, got {source!r}."
        )
    if len({tuple(pair) for pair in pairs}) < len(pairs):
        raise InputError(f"pairs: expected each pair once, got {pairs!r}.")
    return [(source, target) for source, target in pairs]


def fit_codecs(
    modalities: set[str],
    columns: dict[str, Any],
    rows: np.ndarray,
    *,
    poses: bool,
    given: tuple[str, ...],
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
            values = np.asarray(columns[modality])[rows]
            codecs[modality] = VectorCodec.fit(modality, values, isotropic=isotropic)
    return codecs


def build_encoder(
    modality: str,
    shape: tuple[int, ...],
    latent_dim: int,
    *,
    backbone: str,
    pretrained: bool,
    hidden_units: int,
    n_hidden_layers: int,
    side: bool,
) -> ImageEncoder | VectorEncoder:
    """Return the encoder of one modality, whose samples have this shape."""
    if modality in CHANNELS:
        size = (shape[0], shape[1])
        return ImageEncoder(backbone, CHANNELS[modality], size, latent_dim, side=side, pretrained=pretrained)
    return VectorEncoder(
        int(np.prod(shape)), latent_dim, side=side, hidden_units=hidden_units, n_layers=n_hidden_layers
    )


def build_decoder(
    modality: str,
    shape: tuple[int, ...],
    latent_dim: int,
    *,
    decoder: str,
    hidden_units: int,
    n_hidden_layers: int,
) -> ImageDecoder | VectorDecoder | InjectionDecoder:
    """Return the decoder to one modality, whose samples have this shape."""
    if modality in CHANNELS:
        return ImageDecoder(latent_dim, CHANNELS[modality], (shape[0], shape[1]))
    return DECODERS[decoder](
        latent_dim, int(np.prod(shape)), hidden_units=hidden_units, n_layers=n_hidden_layers
    )


def build_networks(
    pairs: Sequence[tuple[str, str]],
    shapes: dict[str, tuple[int, ...]],
    *,
    latent_dim: int,
    backbone: str,
    pretrained: bool,
    decoder: str,
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
    latent_dim, backbone, pretrained, decoder, hidden_units, n_hidden_layers
        As in `CrossModalVAERegressor`.
    side : bool
        Whether encoders are given the side.

    Returns
    -------
    module : CrossModalVAE
    """
    if pretrained and not {source for source, _ in pairs} & set(CHANNELS):
        raise InputError(f"pretrained: expected a pair with a picture as its source, got {list(pairs)}.")
    layers = {"hidden_units": hidden_units, "n_hidden_layers": n_hidden_layers}
    encoders: dict[str, Any] = {}
    decoders: dict[str, Any] = {}
    for source, target in pairs:
        if source not in encoders:
            encoders[source] = build_encoder(
                source,
                shapes[source],
                latent_dim,
                backbone=backbone,
                pretrained=pretrained,
                side=side,
                **layers,
            )
        if target not in decoders:
            decoders[target] = build_decoder(target, shapes[target], latent_dim, decoder=decoder, **layers)
    return CrossModalVAE(encoders, decoders)
