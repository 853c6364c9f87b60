"""CrossModalVAERegressor: the cross-modal variational autoencoder of Spurr et al. 2018."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from skhand._validation import check_number, describe
from skhand.estimators._base import Run
from skhand.estimators._data import TrainingData
from skhand.estimators._latent import is_picture
from skhand.estimators._paired import PairedPoseEstimator, resolve_pairs
from skhand.estimators._parameters import Check, number, one_of, optional
from skhand.estimators.cross_modal_vae.network import CrossModalVAE, build_networks
from skhand.estimators.cross_modal_vae.steps import AUGMENT, PairObjective
from skhand.exceptions import InputError
from skhand.training import Stage

__all__ = ["CrossModalVAERegressor"]

_PIXELS = 12.0  # one over the variance of numbers that are uniform in -0.5..0.5


def _check_weights(value: Any, name: str) -> list[float]:
    """Return a list of weights of 0 or more."""
    if not isinstance(value, tuple | list | np.ndarray) or getattr(value, "shape", None) == ():
        raise InputError(f"{name}: expected a list of numbers, one a pair, got {describe(value)}.")
    return [check_number(weight, name, low=0) for weight in value]


class CrossModalVAERegressor(PairedPoseEstimator):
    """3D hand pose through one latent space that all modalities share.

    An encoder for each modality maps it to a normal distribution in a common latent space; a decoder for each
    modality maps latent vectors back. Pairs of (encoder, decoder) are trained in turn (Spurr et al. 2018,
    Algorithm 1), so that any encoder works with any decoder, and rows without a label still train the pairs
    that they can. Each pair has moments of its own in Adam, so that its steps follow its own gradient.

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
        Which pairs are trained with source -> target: 1 none, 2 target -> target, 3 source -> source,
        4 both.
    pairs : list of (str, str) or None, default=None
        The pairs themselves, in their order, in place of ``variant``. The first pair's source and target
        are the defaults of ``predict``. Modalities: "rgb", "depth", "keypoints2d", "pose3d" (which is ``y``)
        and "table".
    pair_weights : list of float or None, default=None
        Weight of each pair's MSE against its KL term. None is 1, and 12 where pictures are reconstructed:
        an MSE of pixels in -0.5..0.5 is then in units of their variance if they were uniform, as that of
        poses is in units of theirs, and ``beta`` means the same for all pairs. Adam takes steps of the same
        size whatever a loss's weight.
    reconstruction_rate : float, default=0.1
        Share of its step that source -> source takes on the encoder, which source -> target has too; 0 to 1.
        The paper's is 1, which raised the error by 2% on keypoints and by up to 16% on colour pictures of one
        person. Take 1 where X is to be decoded well: masks of 16 px then overlap by 0.66 and not by 0.62.
    source : str, default="auto"
        Modality of ``X``; "auto" reads it off X.
    backbone : str, default="resnet18"
        Trunk of picture encoders: one of torchvision's ResNets, "resnet10", or "small" for small pictures.
    pretrained : {False, "imagenet", "hands"}, default=False
        What the trunk starts from: torchvision's ImageNet weights (needs a network or a cached file; True is
        the same), or the trunk of the weights that ship, a "resnet10" that has seen generated hands.
    decoder : {"plain", "injection"}, default="plain"
        Decoders of vectors: the paper's plain layers, or layers into each of which the latent vector is
        injected (Stergioulas et al. 2021, Sec. 3.3). Decoders of pictures stay as they are.
    hidden_units, n_hidden_layers : int, default=512, 5
        Width and number of the layers of vector encoders and decoders.
    given : tuple of str, default=()
        What is given to the model in addition to X, any of "root" (T), "scale" (S) and "side" (H). With
        "root", y is learned relative to its root; predictions are root-relative, and absolute where X has a
        ``root`` column. With "scale", y is learned in units of the scale bone, and predictions are multiplied
        by X's column ``scale``. With "side", the encoders are given the side of X's column ``side``.
    root : str or int, default="palm"
        The root joint: a joint's name or index, or "palm".
    flat_poses : bool, default=False
        Whether y of two axes, (n, 3 * n_joints), is flattened poses. Otherwise its columns are any numbers,
        standardised one by one, unless "root" or "scale" is given, which only poses have.
    augment : {"auto", "paper", None} or dict, default="auto"
        Augmentation, in batches on the device; see `skhand.training.check_augment` for the names of a dict.
        "auto" is small for pictures with poses, and none otherwise: rotation within 20 degrees and colour of
        0.3, with the root given also shift within 0.05 and zoom within 0.1, and horizontal flips where X's
        column ``side`` has both sides (see `skhand.training.choose_augment`). "paper" is the paper's:
        rotation within 45 degrees, shift within 0.1, horizontal flips.
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
    checkpoint : str, path or None, default=None
        File to write the state of the training to, after every epoch and every two minutes within long ones.
        The same call of ``fit`` goes on from it, also after it was killed: on a processor in float32 with the
        result of an unbroken run, bit by bit, unless ``callbacks`` have a state of their own. A file of other
        parameters or data is refused.
    averaging : float or None, default=None
        Decay of an exponential average of the weights, for example 0.999, which is then validated and
        predicts; None uses the trained weights themselves.
    n_jobs : int or None, default=None
        Threads that read, decode, crop and render batches ahead of the training. None is one where pictures
        are not in memory, and none where they are. The result does not depend on it.
    callbacks : list of skorch callbacks or None, default=None
        Called during training, after skhand's own. scikit-learn's own callbacks go through
        ``set_callbacks``.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last fit, with a new optimiser. The standardisation
        of inputs and targets stays as it was first fitted.
    device : str, default="auto"
        "auto" is a GPU if there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the training's matrix products; "auto" is bfloat16 where the hardware has it.
    predict_precision : {"float32", "bfloat16"}, default="float32"
        Precision of the predictions' matrix products. On generated hands of 64 px bfloat16 moved joints by
        0.15 mm on average, one in a hundred by more than 0.6 mm, and the mean error by less than 0.01 mm.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffles, augmentation and latent noise. The global random state is left alone.
    verbose : bool, default=False
        Whether to print one line an epoch: its number in the stage, losses, seconds and the time left.

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
    interrupted_ : bool
        Whether the last training ended before its time: by Ctrl-C, or because a loss diverged.
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
    of the box's shift (a tenth of the picture); ``reconstruction_rate``; y centred and divided by one
    standard deviation; He's initialisation of the (Linear, ReLU) layers, and encoders that start with a
    narrow posterior; `sample` draws from the latent distribution of the training rows, not from N(0, 1),
    because a small ``beta`` leaves these two apart.

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
        reconstruction_rate: float = 0.1,
        source: str = "auto",
        backbone: str = "resnet18",
        pretrained: str | bool = False,
        decoder: str = "plain",
        hidden_units: int = 512,
        n_hidden_layers: int = 5,
        given: tuple[str, ...] = (),
        root: str | int = "palm",
        flat_poses: bool = False,
        augment: Any = "auto",
        lr_schedule: str = "constant",
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 1e-3,
        image_shape: tuple[int, ...] | None = None,
        checkpoint: Any = None,
        averaging: float | None = None,
        n_jobs: int | None = None,
        callbacks: Sequence[Any] | None = None,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "auto",
        predict_precision: str = "float32",
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
        self.reconstruction_rate = reconstruction_rate
        self.source = source
        self.backbone = backbone
        self.pretrained = pretrained
        self.decoder = decoder
        self.hidden_units = hidden_units
        self.n_hidden_layers = n_hidden_layers
        self.given = given
        self.root = root
        self.flat_poses = flat_poses
        self.augment = augment
        self.lr_schedule = lr_schedule
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.image_shape = image_shape
        self.checkpoint = checkpoint
        self.averaging = averaging
        self.n_jobs = n_jobs
        self.callbacks = callbacks
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.predict_precision = predict_precision
        self.random_state = random_state
        self.verbose = verbose

    # ------------------------------------------------------------------ inside

    _paper_augment = AUGMENT

    _checks: ClassVar[Mapping[str, Check]] = {
        **PairedPoseEstimator._checks,
        "pair_weights": optional(_check_weights),
        "reconstruction_rate": number(low=0, high=1),
        "variant": one_of(1, 2, 3, 4),
    }

    def _settle(self, data: TrainingData, goes_on: bool) -> None:
        self._weigh_pairs()

    def _pairs(self, source: str) -> list[tuple[str, str]]:
        return resolve_pairs(self.variant, self.pairs, source)

    def _architecture(self) -> dict[str, Any]:
        return {"latent_dim": self.latent_dim, **vars(self._layers())}

    def _build_module(self, pretrained: str | bool) -> CrossModalVAE:
        layers = self._fitted_layers(pretrained)
        return build_networks(self.pairs_, self.shapes_, self.architecture_["latent_dim"], layers)

    def _n_latent(self) -> int:
        return self.architecture_["latent_dim"]

    def _enter_stage(self, name: str | None, n_epochs: int, n_done: int, run: Run) -> Stage:
        rows = [run.data.require(pair) for pair in self.pairs_]
        settings = self._objective_settings(run)
        weights, rate = self._weigh_pairs(), self.reconstruction_rate
        objective = PairObjective(self.pairs_, rows, weights, self.beta, rate, **settings)
        falls = self.lr_schedule == "cosine" and not run.one_epoch
        return Stage(
            objective,
            objective.streams,
            self.lr,
            self.batch_size,
            n_epochs,
            descent=(n_epochs, 0) if falls else None,
        )

    def _weigh_pairs(self) -> list[float]:
        """Return the weight of each pair's MSE."""
        if self.pair_weights is None:
            return [_PIXELS if is_picture(target) else 1.0 for _, target in self.pairs_]
        weights = _check_weights(self.pair_weights, "pair_weights")
        if len(weights) != len(self.pairs_):
            raise InputError(
                f"pair_weights: expected one weight for each of {self.pairs_}, got {self.pair_weights!r}."
            )
        return weights

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        return [
            (f"kl_gradient_{source}_to_{target}", "beta", self.beta, f"the KL term of {source} -> {target}")
            for source, target in self.pairs_
        ]
