"""Records of modalities: how rows look, become network input, and move with the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from skhand._validation import describe
from skhand.exceptions import InputError
from skhand.nn import ImageDecoder, ImageEncoder, InjectionDecoder, VectorDecoder, VectorEncoder

__all__ = [
    "DECODERS",
    "Codec",
    "CodecSettings",
    "Layers",
    "Modality",
    "Motion",
    "Picture",
    "Vector",
]

DECODERS: dict[str, Any] = {"plain": VectorDecoder, "injection": InjectionDecoder}
_SCAN = 256


class Motion(NamedTuple):
    """The motion of each row of a batch in an augmentation.

    Parameters
    ----------
    affine : Tensor of shape (n, 3, 3), px
        Old places in the picture to new ones.
    turn : Tensor of shape (n, 3, 3)
        Old camera frame to the new one: a rotation about the optical axis and a mirror.
    flipped : Tensor of shape (n,), bool
        Which rows are mirrored.
    settings : mapping
        The augmentation's settings, for what else a modality draws.
    generator : torch.Generator or None
        Source of random numbers.
    size : tuple of int or None, px
        Height and width of new pictures; None is those of the old ones.
    """

    affine: Tensor
    turn: Tensor
    flipped: Tensor
    settings: Mapping[str, Any]
    generator: torch.Generator | None
    size: tuple[int, int] | None = None

    def picture_size(self, pictures: Tensor) -> tuple[int, int]:
        """Return height and width (px) of what pictures (n, height, width, ...) become."""
        return self.size or (pictures.shape[1], pictures.shape[2])

    def uniform(self, *shape: int) -> Tensor:
        """Draw float32 numbers from -1 to 1."""
        device = self.affine.device
        return 2 * torch.rand(*shape, generator=self.generator, device=device, dtype=torch.float32) - 1


@dataclass(frozen=True)
class CodecSettings:
    """Settings of an estimator that codecs depend on.

    Parameters
    ----------
    given : tuple of str
        What is given to the model.
    root : str or int
        The root joint.
    poses : bool
        Whether targets are poses.
    """

    given: tuple[str, ...] = ()
    root: str | int = "palm"
    poses: bool = True


@dataclass(frozen=True)
class Layers:
    """Settings of encoders and decoders; the names are those of the estimators' parameters."""

    backbone: str = "resnet18"
    pretrained: str | bool = False
    decoder: str = "plain"
    hidden_units: int = 512
    n_hidden_layers: int = 5
    side: bool = False


class Codec(Protocol):
    """Between a column's own units and what a network reads and writes.

    Attributes
    ----------
    columns : tuple of str
        Columns that encoding reads.
    decodes : tuple of str
        Those among them that decoding reads.
    """

    columns: tuple[str, ...]
    decodes: tuple[str, ...]

    def encode(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Rows in their own units to network input."""

    def decode(self, output: Tensor, batch: Mapping[str, Tensor]) -> Tensor:
        """Network output to rows in their own units."""


class Modality:
    """One kind of input or target.

    A module of this package that defines ``MODALITY``, an instance of a subclass, adds one.

    Attributes
    ----------
    name : str
        Name of the column.
    shape : tuple of str or int
        Shape of one row; a string stands for any size.
    is_image : bool
        Whether rows are pictures.
    order : int
        Of a table with several columns, "auto" takes the modality with the lowest one.
    """

    name: str
    shape: tuple[str | int, ...]
    is_image: bool = False
    order: int = 100
    #: whether unknown numbers are NaN; pictures have none
    has_unknown: bool = True

    def matches(self, shape: tuple[int, ...], dtype: Any) -> bool:
        """Tell whether an array of this shape, rows first, is taken for this modality where none is named."""
        return False

    def as_rows(self, X: Any) -> Any:
        """Check the shape of an array of rows and return it.

        Raises
        ------
        InputError
            If it has another number of axes.
        """
        fits = X.ndim == len(self.shape) + 1 and all(
            isinstance(want, str) or want == have for want, have in zip(self.shape, X.shape[1:], strict=True)
        )
        if not fits:
            wanted = ", ".join(["n", *map(str, self.shape)])
            raise InputError(f"X: expected {self.name} of shape ({wanted}), got {describe(X)}.")
        return X

    def unflatten(self, flat: np.ndarray, image_shape: tuple[int, ...] | None, estimator: str) -> np.ndarray:
        """Return flattened rows (n, k) in their own shape."""
        raise NotImplementedError

    def check_values(self, column: Any) -> None:
        """Validate the values of a column.

        Raises
        ------
        InputError
        """

    def fit_codec(self, columns: Mapping[str, Any], rows: np.ndarray, settings: CodecSettings) -> Any:
        """Return the codec with the statistics of the training rows."""
        raise NotImplementedError

    def encoder(self, shape: tuple[int, ...], latent_dim: int, layers: Layers) -> nn.Module:
        """Return an encoder of rows of this shape to mean and log-variance."""
        raise NotImplementedError

    def decoder(self, shape: tuple[int, ...], latent_dim: int, layers: Layers) -> nn.Module:
        """Return a decoder of latent vectors to rows of this shape."""
        raise NotImplementedError

    def move(self, column: Tensor, motion: Motion) -> dict[str, Tensor]:
        """Return a batch of the column as augmentation moves it, by column name; others may be added."""
        return {self.name: column}

    def to_original(self, decoded: np.ndarray, columns: Mapping[str, Any]) -> np.ndarray:
        """Bring decoded rows to the original picture and camera frame, where ``columns`` know the way."""
        return decoded


class Picture(Modality):
    """Base of the modalities that are pictures.

    Attributes
    ----------
    channels : int
        Channels that networks read and write.
    """

    is_image = True
    has_unknown = False
    channels: int

    def unflatten(self, flat: np.ndarray, image_shape: tuple[int, ...] | None, estimator: str) -> np.ndarray:
        """Return flattened pictures (n, k) in the shape that the parameter ``image_shape`` says."""
        if image_shape is None:
            raise InputError(f"X: flattened pictures of shape {flat.shape} need image_shape=, got None.")
        size = int(np.prod(image_shape))
        if size != flat.shape[1]:
            raise InputError(
                f"X has {flat.shape[1]} features, but {estimator} is expecting {size} features as input "
                f"(image_shape={tuple(image_shape)})."
            )
        return flat.reshape(len(flat), *image_shape)

    def encoder(self, shape: tuple[int, ...], latent_dim: int, layers: Layers) -> nn.Module:
        """Return a convolutional encoder."""
        size = (shape[0], shape[1])
        return ImageEncoder(
            layers.backbone,
            self.channels,
            size,
            latent_dim,
            side=layers.side,
            pretrained=layers.pretrained,
        )

    def decoder(self, shape: tuple[int, ...], latent_dim: int, layers: Layers) -> nn.Module:
        """Return a decoder of transposed convolutions."""
        return ImageDecoder(latent_dim, self.channels, (shape[0], shape[1]))


class Vector(Modality):
    """Base of the modalities whose rows are numbers."""

    def encoder(self, shape: tuple[int, ...], latent_dim: int, layers: Layers) -> nn.Module:
        """Return an encoder of (Linear, ReLU) layers."""
        return VectorEncoder(
            int(np.prod(shape)),
            latent_dim,
            side=layers.side,
            hidden_units=layers.hidden_units,
            n_layers=layers.n_hidden_layers,
        )

    def decoder(self, shape: tuple[int, ...], latent_dim: int, layers: Layers) -> nn.Module:
        """Return a decoder of the kind that the parameter ``decoder`` names."""
        kind = DECODERS[layers.decoder]
        return kind(
            latent_dim,
            int(np.prod(shape)),
            hidden_units=layers.hidden_units,
            n_layers=layers.n_hidden_layers,
        )

    def unflatten(self, flat: np.ndarray, image_shape: tuple[int, ...] | None, estimator: str) -> np.ndarray:
        """Return flattened points (n, n_joints * n_dims) as (n, n_joints, n_dims)."""
        n_dims = self.shape[-1]
        if not isinstance(n_dims, int):
            return flat
        if flat.shape[1] % n_dims:
            raise InputError(f"X: expected rows of flattened {self.name}, got {flat.shape[1]} columns.")
        return flat.reshape(len(flat), -1, n_dims)

    def check_values(self, column: Any) -> None:
        """Check that no number is infinite; NaN is unknown."""
        if np.isinf(column).any():
            raise InputError(f"X: expected finite {self.name}, got infinity.")


def scan(column: Any, first_of_lazy: int = 16) -> Sequence[np.ndarray]:
    """Return a column in parts; of one that is not in memory only the first rows."""
    from skhand._columns import in_memory

    n = len(column) if in_memory(column) else min(len(column), first_of_lazy)
    return [np.asarray(column[start : min(start + _SCAN, n)]) for start in range(0, n, _SCAN)]


def check_float_pictures(column: Any, name: str) -> None:
    """Check that pictures are of finite floats.

    Raises
    ------
    InputError
    """
    kind = np.dtype(column.dtype).kind
    if kind != "f":
        raise InputError(f"X: expected {name} as uint8 or float, got dtype {np.dtype(column.dtype)}.")
    for part in scan(column):
        if not np.isfinite(part).all():
            raise InputError(f"X: expected finite pictures, got NaN or infinity in {name}.")


def as_batch(image: Tensor) -> Tensor:
    """Return network input with its channels last in memory, which convolutions prefer."""
    return image.contiguous(memory_format=torch.channels_last)
