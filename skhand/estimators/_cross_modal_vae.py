"""CrossModalVAERegressor: the cross-modal variational autoencoder of Spurr et al. 2018."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state

from skhand._validation import check_number, check_option
from skhand.estimators._fitting import train, warn_if_diverged
from skhand.estimators._inputs import rows_of_pairs
from skhand.estimators._networks import build_networks, fit_codecs, pairs_of
from skhand.estimators._training_data import PairedPoseEstimator
from skhand.exceptions import InputError, TrainingWarning
from skhand.nn import BACKBONES, CrossModalVAE
from skhand.training import (
    CosineRate,
    KeepBest,
    PairBatches,
    PairTask,
    check_augment,
    check_callbacks,
    resolve_device,
    resolve_precision,
    seeded,
)

__all__ = ["CrossModalVAERegressor"]

_COUNTS = ("latent_dim", "max_epochs", "batch_size", "hidden_units", "n_hidden_layers", "n_iter_no_change")
_WEAK = 1e-3  # a term whose gradient is below this share of the MSE's does nothing


class CrossModalVAERegressor(CallbackSupportMixin, PairedPoseEstimator):
    """3D hand pose through one latent space that all modalities share.

    An encoder for each modality maps it to a normal distribution in a common latent space; a decoder for each
    modality maps latent vectors back. Pairs of (encoder, decoder) are trained in turn (Spurr et al. 2018,
    Algorithm 1), so that any encoder works with any decoder, and rows without a label still train the pairs
    that they can.

    Parameters
    ----------
    latent_dim : int, default=30
        Size of the latent space.
    beta : float, default=1e-4
        Weight of the KL term: nats, summed over the latent dimensions and averaged over the batch, against
        an MSE that is the mean over batch and coordinates of the standardised target. Not published.
    lr : float, default=1e-4
        Learning rate of Adam.
    max_epochs : int, default=100
        Passes over the training rows; each trains every pair.
    batch_size : int, default=64
        Rows a training step.
    variant : {1, 2, 3, 4}, default=1
        Which pairs are trained beside source -> target: 1 none, 2 target -> target, 3 source -> source,
        4 both.
    pairs : list of (str, str) or None, default=None
        The pairs themselves, in their order, in place of ``variant``. The first pair's source and target
        are the defaults of ``predict``. Modalities: "rgb", "depth", "keypoints2d", "pose3d" (which is ``y``)
        and "table".
    pair_weights : list of float or None, default=None
        Weight of each pair's MSE; None is 1 for each.
    source : str, default="auto"
        Modality of ``X``; "auto" reads it off X.
    backbone : str, default="resnet18"
        Trunk of picture encoders: one of torchvision's ResNets, or "small" for small pictures.
    pretrained : bool, default=False
        Whether the trunk starts from torchvision's ImageNet weights (needs a network or a cached file).
    hidden_units, n_hidden_layers : int, default=512, 5
        Width and number of the layers of vector encoders and decoders.
    given : tuple of str, default=()
        What is given to the model beside X, any of "root" (T), "scale" (S) and "side" (H). With "root", y is
        learned relative to its root; predictions are root-relative, and absolute where X has a ``root``
        column. With "scale", y is learned in units of the scale bone, and predictions are multiplied by
        X's column ``scale``. With "side", the encoders are given the side of X's column ``side``.
    root : str or int, default="palm"
        The root joint: a joint's name or index, or "palm".
    augment : {"auto", "paper", None} or dict, default="auto"
        Augmentation, in batches on the device; see `skhand.training.check_augment` for the names of a dict.
        "auto" is the paper's for pictures with poses, and none otherwise.
    lr_schedule : {"constant", "cosine"}, default="constant"
        Course of the learning rate within one fit.
    early_stopping : bool, default=False
        Whether to stop when the validation error no longer improves, and to bring the best weights back.
    validation_fraction : float, default=0.1
        Share of the labelled rows that is set aside, at random, for early stopping, where ``fit`` gets no
        ``X_val``. Neighbouring frames of a video are near-duplicates: give ``X_val`` then.
    n_iter_no_change : int, default=10
        Epochs without improvement before stopping.
    tol : float, default=1e-3
        What counts as an improvement, relative to the best error.
    image_shape : tuple of int or None, default=None
        Shape of one picture, where X has flattened rows.
    callbacks : list of skorch callbacks or None, default=None
        Called during training, after skhand's own. scikit-learn's own callbacks go through
        ``set_callbacks``.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last fit, with a new optimiser. The standardisation
        of inputs and targets stays as it was first fitted.
    device : str, default="auto"
        "auto" is a GPU if there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the training's matrix products; "auto" is bfloat16 where the hardware has it. Predictions
        are always made in float32.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffles, augmentation and latent noise. The global random state is left alone.
    verbose : bool, default=False
        Whether to print one line an epoch.

    Attributes
    ----------
    module_ : CrossModalVAE
        The networks, in evaluation mode.
    n_parameters_ : int
        Number of their weights.
    history_ : dict of str to list
        One column a loss term and one entry an epoch: ``train_loss``, ``mse_<pair>`` and ``kl_<pair>`` (both
        weighted), ``kl_gradient_<pair>`` (norm of the KL term's gradient at the latent over that of the
        MSE's), ``seconds``, and ``valid_epe`` (mm) or ``valid_rmse`` with validation data.
    pairs_ : list of (str, str)
        The pairs that are trained.
    source_, target_ : str
        Modalities of the first pair.
    latent_mean_, latent_cov_ : ndarray
        Mean and covariance of the source's latent samples over the training rows, which `sample` draws from.
    n_iter_ : int
        Number of epochs trained so far.
    device_ : torch.device
        Where the networks are.
    n_features_in_ : int
        Product of the shape of one sample of X.
    input_shape_, y_shape_ : tuple of int
        Shape of one sample of X and of y.

    See Also
    --------
    skhand.datasets.make_hands : Renders hands to fit on.

    Notes
    -----
    With 256 x 256 pictures and ``given=("side",)`` the networks have the published 12 398 387 (variant 1) to
    14 347 346 (variant 4) weights. Choices, where the paper is silent: ``beta`` and the reductions; the size
    of the box's shift (a tenth of the picture); y centred and divided by one standard deviation; He's
    initialisation of the (Linear, ReLU) layers, and encoders that start with a narrow posterior; `sample`
    draws from the latent distribution of the training rows, not from N(0, 1), because a small ``beta`` leaves
    these two apart.

    References
    ----------
    .. [1] A. Spurr, J. Song, S. Park, O. Hilliges. Cross-modal Deep Variational Hand Pose Estimation.
       CVPR 2018.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.estimators import CrossModalVAERegressor
    >>> hands = make_hands(64, image_size=32, random_state=0)
    >>> est = CrossModalVAERegressor(backbone="small", given=("root",), max_epochs=2, random_state=0)
    >>> est.fit(hands.data, hands.target).predict(hands.data).shape
    (64, 21, 3)
    """

    def __init__(
        self,
        *,
        latent_dim: int = 30,
        beta: float = 1e-4,
        lr: float = 1e-4,
        max_epochs: int = 100,
        batch_size: int = 64,
        variant: int = 1,
        pairs: Sequence[tuple[str, str]] | None = None,
        pair_weights: Sequence[float] | None = None,
        source: str = "auto",
        backbone: str = "resnet18",
        pretrained: bool = False,
        hidden_units: int = 512,
        n_hidden_layers: int = 5,
        given: tuple[str, ...] = (),
        root: str | int = "palm",
        augment: Any = "auto",
        lr_schedule: str = "constant",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-3,
        image_shape: tuple[int, ...] | None = None,
        callbacks: Sequence[Any] | None = None,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "auto",
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.latent_dim = latent_dim
        self.beta = beta
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.variant = variant
        self.pairs = pairs
        self.pair_weights = pair_weights
        self.source = source
        self.backbone = backbone
        self.pretrained = pretrained
        self.hidden_units = hidden_units
        self.n_hidden_layers = n_hidden_layers
        self.given = given
        self.root = root
        self.augment = augment
        self.lr_schedule = lr_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.image_shape = image_shape
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.random_state = random_state
        self.verbose = verbose

    @with_callbacks
    def fit(self, X: Any, y: Any = None, *, X_val: Any = None, y_val: Any = None) -> CrossModalVAERegressor:
        """Train the networks.

        Parameters
        ----------
        X : HandFrames or array-like
            Pictures (n, height, width, 3) uint8 or float in 0..1, depth (n, height, width) in mm, keypoints
            (n, n_joints, 2) in px, a table (n, n_features), or a `HandFrames` with any of these.
        y : array-like of shape (n, n_joints, 3), (n, 3 * n_joints), (n, k) or (n,), mm
            Poses in the original camera frame, whatever X's ``rotation``, or any numbers for a table. NaN
            rows are unlabelled. None takes the poses of X's column ``pose3d``, in the rows' own frames.
            Flattened poses are recognised where X is no table and they have five joints or more, or where
            "root" or "scale" is given; other numbers are standardised column by column.
        X_val, y_val : like X and y, default=None
            Validation data, for ``history_`` and early stopping.

        Returns
        -------
        self : CrossModalVAERegressor

        Raises
        ------
        InputError
            If a parameter or an input is not what was expected.
        KeyboardInterrupt
            After an interrupt; the estimator is fitted with what was trained until then.
        """
        fresh = not (self.warm_start and hasattr(self, "module_"))
        return self._fit(X, y, X_val, y_val, fresh=fresh, epochs=self.max_epochs)

    @with_callbacks
    def partial_fit(self, X: Any, y: Any = None) -> CrossModalVAERegressor:
        """Train for one more epoch on X and y, from the weights and the optimiser state there are.

        All rows are trained on: early stopping has no part in it.

        Parameters
        ----------
        X, y : array-like
            As in `fit`; the shapes must be those of the first call.

        Returns
        -------
        self : CrossModalVAERegressor
        """
        fresh = not hasattr(self, "module_")
        return self._fit(X, y, None, None, fresh=fresh, epochs=1, partial=True)

    # ------------------------------------------------------------------ inside

    def _fit(
        self, X: Any, y: Any, X_val: Any, y_val: Any, *, fresh: bool, epochs: int, partial: bool = False
    ) -> CrossModalVAERegressor:
        augment = self._check_parameters()
        device = resolve_device(self.device)
        dtype = resolve_precision(self.precision, device)
        stopping = self.early_stopping and not partial
        before = dict(self.__dict__)
        try:
            columns = self._read_training(X, y, fresh)
            weights = self._pair_weights()
            if not fresh:
                self._check_same_architecture()
            validation = self._read_validation(X_val, y_val, stopping)
            augment = self._check_augmentation(augment)
        except Exception:  # an estimator that was fitted before stays as it was
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        rng = np.random.default_rng(seed if fresh else [seed, self.n_iter_])
        if fresh:
            self._split_seed = seed
        rows = np.arange(len(columns[self.source_]))
        if stopping and validation is None:
            rows, validation = self._split(columns, rows, self._split_seed)
        pair_rows = rows_of_pairs(columns, rows, self.pairs_, self._rooted)
        with seeded(int(rng.integers(2**31)), device):
            if fresh:
                self._build(columns, rows)
            self.module_ = self.module_.to(device, memory_format=torch.channels_last)
            self.device_ = device
            task = PairTask(
                self.pairs_, weights, self.beta, self.codecs_, augment, "side" in self.given_, dtype
            )
            names = [task.columns(pair) for pair in range(len(self.pairs_))]
            batches = PairBatches(columns, pair_rows, names, self.batch_size, rng, device)
            interrupted = train(
                self,
                task,
                batches,
                epochs,
                resume=partial and not fresh,
                callbacks=self._own_callbacks(epochs, validation),
                data=(X, y),
            )
            self._read_latent(columns, pair_rows[0])
        if interrupted:
            raise KeyboardInterrupt
        warn_if_diverged(self)
        if not partial and self.n_iter_ >= 10:
            self._warn_if_weak()
        return self

    def _check_parameters(self) -> Any:
        """Judge every parameter before any work; return the augmentation settings."""
        for name in _COUNTS:
            check_number(getattr(self, name), name, integer=True, low=1)
        check_number(self.beta, "beta", low=0)
        check_number(self.lr, "lr", low=0, include_low=False)
        check_number(self.tol, "tol", low=0, high=1)
        check_number(self.validation_fraction, "validation_fraction", low=0, high=0.9, include_low=False)
        check_option(self.backbone, "backbone", BACKBONES)
        check_option(self.lr_schedule, "lr_schedule", ("constant", "cosine"))
        for name in ("pretrained", "early_stopping", "warm_start"):
            check_option(getattr(self, name), name, (True, False))
        check_callbacks(self.callbacks)
        self._given()
        is_auto = isinstance(self.augment, str) and self.augment == "auto"
        return "auto" if is_auto else check_augment(self.augment)

    def _build(self, columns: dict[str, Any], rows: np.ndarray) -> None:
        """Fit the codecs and make the networks."""
        self.codecs_ = fit_codecs(
            set(self.shapes_), columns, rows, poses=self.poses_, given=self.given_, root=self.root
        )
        self.scale_mean_ = float(np.nanmean(columns["scale"])) if "scale" in self.given_ else 1.0
        self.root_ = self.root
        self.architecture_ = self._architecture()
        self.module_ = self._build_module(self.pretrained)
        self.n_parameters_ = sum(weight.numel() for weight in self.module_.parameters())
        self.n_iter_ = 0
        self.history_: dict[str, list[float]] = {}
        self.latent_mean_ = np.zeros(self.latent_dim)  # the prior, until the training rows have spoken
        self.latent_cov_ = np.eye(self.latent_dim)
        self._optimizer_state: dict[str, Any] = {}

    def _architecture(self) -> dict[str, Any]:
        return {
            "latent_dim": self.latent_dim,
            "backbone": self.backbone,
            "hidden_units": self.hidden_units,
            "n_hidden_layers": self.n_hidden_layers,
            "side": "side" in self._given(),
        }

    def _check_same_architecture(self) -> None:
        """Refuse to go on with networks that the parameters no longer describe."""
        wanted = {**self._architecture(), "given": set(self._given()), "root": self.root}
        fitted = {**self.architecture_, "given": set(self.given_), "root": self.root_}
        if self.pairs is not None or self.source != "auto":
            wanted["pairs"] = pairs_of(self.variant, self.pairs, self.source)
        else:
            wanted["pairs"] = pairs_of(self.variant, None, self.source_)
        fitted["pairs"] = self.pairs_
        for name in fitted:
            if wanted[name] != fitted[name]:
                raise InputError(
                    f"{name}: expected {fitted[name]!r} as first fitted, to go on; got {wanted[name]!r}."
                )

    def _build_module(self, pretrained: bool) -> CrossModalVAE:
        return build_networks(self.pairs_, self.shapes_, pretrained=pretrained, **self.architecture_)

    def _pair_weights(self) -> list[float]:
        weights = (
            [1.0] * len(self.pairs_) if self.pair_weights is None else np.ravel(self.pair_weights).tolist()
        )
        if len(weights) != len(self.pairs_):
            raise InputError(
                f"pair_weights: expected one weight for each of {self.pairs_}, got {self.pair_weights!r}."
            )
        return [check_number(weight, "pair_weights", low=0) for weight in weights]

    def _own_callbacks(self, epochs: int, validation: Any) -> list[Any]:
        """The schedule, and the validation error with early stopping."""
        callbacks: list[Any] = [CosineRate(self.lr, epochs)] if self.lr_schedule == "cosine" else []
        if validation is not None:
            patience = self.n_iter_no_change if self.early_stopping else None
            name = "valid_epe" if self.poses_ else "valid_rmse"
            callbacks.append(KeepBest(lambda: self._error(*validation), name, patience, self.tol))
        return callbacks

    def _error(self, columns: dict[str, Any], rows: np.ndarray) -> float:
        """Validation error: mean EPE in mm for poses, root mean squared error otherwise."""
        mean, _ = self._encode(columns, rows, self.source_)
        predicted = self._decode(mean, "pose3d", columns, rows)
        wanted = columns["pose3d"][rows]
        if not self.poses_:
            return float(np.sqrt(np.nanmean((predicted - wanted) ** 2)))
        return float(np.nanmean(np.linalg.norm(self._rooted(predicted) - self._rooted(wanted), axis=2)))

    def _warn_if_weak(self) -> None:
        for source, target in self.pairs_:
            ratios = self.history_.get(f"kl_gradient_{source}_to_{target}", [1.0])
            if self.beta > 0 and np.nanmax(ratios) < _WEAK:
                warnings.warn(
                    f"beta={self.beta:g}: the KL term of {source} -> {target} never reached {_WEAK:g} of the "
                    "MSE's gradient; it does nothing.",
                    TrainingWarning,
                    stacklevel=3,
                )
