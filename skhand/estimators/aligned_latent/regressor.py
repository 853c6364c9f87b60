"""AlignedLatentRegressor: disentangle, align, refine, after Stergioulas et al. 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skhand._columns import PICTURES
from skhand._validation import check_option
from skhand.estimators._base import Run
from skhand.estimators._data import TrainingData
from skhand.estimators._paired import PairedPoseEstimator
from skhand.estimators._parameters import Check, by_stage, number, one_of, optional, width
from skhand.estimators._stages import Stages
from skhand.estimators.aligned_latent.network import AlignedVAE, LatentDiscriminator, LatentMapper
from skhand.estimators.aligned_latent.steps import (
    AUGMENT,
    AlignedObjective,
    AlignObjective,
    AutoencoderObjective,
    RefineObjective,
)
from skhand.exceptions import InputError
from skhand.nn import draw_latent
from skhand.skeleton import JOINTS
from skhand.training import MODALITIES, Stage, encoder_input, one_hot_side

__all__ = ["AlignedLatentRegressor"]

_STAGES = Stages(("vae", "disentangle"), ("align", "finetune", "refine"), needs={"finetune": "align"})
_PRESETS = {
    "tuned": {"beta": 1e-5, "adversarial_weight": 3e-5},
    "paper": {"beta": 1e-5, "adversarial_weight": 1.0},
}
_TUNED_FOR_PICTURES = {"beta": 1e-8, "adversarial_weight": 3e-7}
_WEIGHTS = ("context_weight", "pose_weight", "kcs_weight", "geo_weight")
_HAND = 0.03  # m: about the standard deviation of a hand's coordinates, where y is no poses
_SPACES = ("source", "pose", "context", "aligned")


class AlignedLatentRegressor(PairedPoseEstimator):
    """3D hand pose in stages: disentangle, align, refine.

    An encoder of X and an encoder of poses, each with its decoder to poses, are trained first; a
    discriminator makes the pose-specific part of X's latent vector look like the latent vector of a pose
    ("disentangle"). Two mappers then bring both latent spaces to one that a shared decoder reads, first with
    frozen encoders ("align") and then with all weights ("finetune"). Last, losses on bones and on distances
    between joints and lines make the predictions hand-like ("refine"). The decoders inject the latent vector
    into every layer (Stergioulas et al. 2021). By keypoints, trained until nothing improved, the alignment
    brought the latent spaces nearer; predictions from X gained 2.4% by it (95% interval: 1.0 to 3.9%), and
    1.8% (0.6 to 3.0%) where the poses had no part in it.

    All weights stand next to a squared error of the pose in square metres, the mean over its coordinates; for
    y that are no poses, one standard deviation counts as 30 mm.

    Parameters
    ----------
    preset : {"tuned", "paper"}, default="tuned"
        Whose ``adversarial_weight`` and ``beta`` stand in for None. "tuned" has an adversarial weight of
        3e-5, with which the discriminator was right on two thirds of held-out hands, and poses were 0.1 mm
        better to 0.4 mm worse than without it. Where X is pictures it has 3e-7, next to the lighter ``beta``
        there: the discriminator is right on more than 99%, but with 3e-5 the latent vectors ran away. "paper"
        has Eq. 4's 1, with which "disentangle" learned next to nothing of the pose. All other weights are the
        paper's in both.
    latent_dim : int, default=64
        Size of the pose-specific part of X's latent vector and of the pose encoder's; and of the aligned
        one, unless all of X's latent vector is decoded (see ``decoded``), which is then as long as that.
    context_dim : int, default=64
        Size of the other part of X's latent vector.
    stages : "auto" or tuple of str, default="auto"
        What is trained: "vae" (both autoencoders) or "disentangle" (with the discriminator), and then any of
        "align", "finetune" and "refine", in this order. "auto" is ("disentangle", "align", "finetune",
        "refine"), without "refine" where y does not have the 21 joints. ("disentangle", "refine") is shorter:
        by keypoints it was 1.3% worse when nothing improved any more (95% interval: 0.2 to 2.4%), on pictures
        2% better in as many steps. The rows of the paper's tables are in the notes.
    decoder : {"injection", "plain"}, default="injection"
        Whether the latent vector is injected into every layer of the decoders, or is their input only.
    decoded : {"pose", "concat"}, default="pose"
        What is decoded of X's latent vector after "disentangle": the pose-specific part, or all of it. After
        "vae" it is all of it.
    beta : float or None, default=None
        Weight of every KL term, nats: summed over the latent dimensions and averaged over the batch. None is
        the preset's: the paper's 1e-5, but 1e-8 in "tuned" where X is pictures. The paper's leaves a picture
        some ten nats, too few for its pose: 1 500 hands of 32 px, trained until nothing improved, were at
        37.3 mm (the row "Baseline" of the paper's tables), with 1e-8 at 28.7. By keypoints the paper's was
        the better one.
    adversarial_weight : float or None, default=None
        Weight of the adversarial term of X's encoder in "disentangle", nats. None is the preset's.
    context_weight : float, default=0.0
        Weight of the squared error of X, rebuilt from all of its latent vector in "disentangle": mean over
        the numbers that the network reads (pictures from -0.5 to 0.5, keypoints and tables standardised).
        Not in the paper, but as in Yang & Yao 2019: nothing else reads the context, which with 0 says
        nothing. 1e-3 is about as heavy as the pose's error.
    pose_weight : float, default=0.01
        Weight w of the poses' own loss in "align" and "finetune" (Eq. 5).
    kcs_weight, geo_weight : float, default=0.01, 1e-06
        Weights of the kinematic losses in "refine": mean over the 20 x 20 inner products of bones, m^2, and
        sum over a hand's 3 990 joint-line distances, m. They take turns from batch to batch; one of weight 0
        takes no turn.
    lr : float or dict of str to float, default=1e-4
        Learning rate of Adam, for all stages or by stage.
    max_epochs : int or dict of str to int, default=100
        Passes over the training rows, for each stage or by stage.
    batch_size : int, default=64
        Rows a training step.
    source : {"auto", "rgb", "depth", "keypoints2d", "table"}, default="auto"
        Modality of ``X``; "auto" reads it off X.
    backbone : str, default="resnet18"
        Trunk of picture encoders: one of torchvision's ResNets, "resnet10", or "small" for small pictures.
    pretrained : {False, "imagenet", "hands"}, default=False
        What the trunk starts from: torchvision's ImageNet weights, as in the paper (needs a network or a
        cached file; True is the same), or the trunk of the weights that ship, a "resnet10" that has seen
        generated hands.
    hidden_units, n_hidden_layers : int, default=512, 3
        Width and number of the layers of the pose encoder and the decoders, and of the encoder where X is no
        picture; mappers and discriminator have two layers of this width. Not published.
    given : tuple of str, default=()
        What is given to the model in addition to X, any of "root" (T), "scale" (S) and "side" (H); see
        `CrossModalVAERegressor`. The paper gives all three.
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
        rotation within 45 degrees, vertical flips.
    lr_schedule : {"constant", "cosine"}, default="constant"
        Course of the learning rate within each stage. Where ``partial_fit`` goes on with a stage whose
        epochs are all done, the rate is constant.
    early_stopping : bool, default=False
        Whether a stage ends when its validation error no longer improves, and to bring its best weights back.
    validation_fraction : float, default=0.1
        Share of the labelled rows that is set aside, at random, for early stopping, where ``fit`` gets no
        ``X_val``. Neighbouring frames of a video are near-duplicates: give ``X_val`` then.
    n_iter_no_change : int, default=10
        Epochs without improvement before a stage ends.
    tol : float, default=1e-3
        What counts as an improvement, relative to the stage's best error.
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
        Called during the training of each stage, after skhand's own. scikit-learn's own callbacks go through
        ``set_callbacks``; when one of them stops, it stops all stages.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the last fit: in the stage that was interrupted, with its optimiser and
        the epochs that it lacks, and then with the stages that were not trained yet, ``stages`` being the
        present ones. It never goes back to a stage before the last one begun. Where no stage is left, the
        last one is trained again, with a new optimiser. The
        standardisation of inputs and targets stays as it was first fitted.
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
    module_ : AlignedVAE
        The networks, in evaluation mode.
    n_parameters_ : int
        Number of their weights, those of later stages included.
    stages_ : tuple of str
        The stages of the last fit.
    stage_ : str
        The stage that was trained last; after an interrupt, the one that was interrupted.
    space_ : str
        The latent space that predictions are decoded from, and that `inverse_transform`, `sample` and
        `interpolate` are about: "source", and "aligned" from "align" on.
    history_ : dict of str to list
        One column a loss term and one entry an epoch, NaN where the stage has no such term: ``stage``,
        ``train_loss`` (the sum of the terms), ``mse``, ``kl``, ``mse_pose``, ``kl_pose``, ``adversarial``,
        ``context``, ``discriminator``, ``kcs``, ``geo`` (all in units of the standardised target, weighted,
        and averaged over all batches of the epoch, also those in which it was not their turn), ``seconds``,
        and ``valid_epe`` (mm) or ``valid_rmse`` with validation data. ``<term>_gradient`` is the norm of a
        weighted term's gradient over that of the MSE's, in the epoch's first batch: for ``kl``,
        ``adversarial`` and ``context`` that of ``mse``, at X's latent distribution (the aligned one from
        "align" on); for ``kl_pose`` that of ``mse_pose``, at the pose's; for ``mse_pose`` that of ``mse``, at
        the last layer of the decoder that both share from "align" on; for ``kcs`` and ``geo`` that of
        ``mse``, at the predicted pose.
    source_, target_ : str
        Modality of X, and "pose3d".
    latent_mean_, latent_cov_ : ndarray
        Mean and covariance of X's latent samples over the training rows, in ``space_``; `sample` draws from
        them.
    n_iter_ : int
        Number of epochs trained so far, of all stages.
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
    CrossModalVAERegressor : One latent space that all modalities share.
    skhand.preprocessing.ViewAligner : The paper's alignment of the view, before a crop.

    Notes
    -----
    The paper's tables as settings:

    ==================  ==============================================================================
    row                 settings
    ==================  ==============================================================================
    Baseline            ``decoder="plain", stages=("vae",)``
    A                   ``stages=("vae",)``
    B                   ``stages=("disentangle",)``
    C                   ``stages=("vae", "align", "finetune")``
    D0                  ``stages=("disentangle", "align", "finetune")``
    D1                  ``stages=("disentangle", "align", "finetune", "refine"), geo_weight=0``
    D2                  ``stages=("disentangle", "align", "finetune", "refine"), kcs_weight=0``
    D3                  ``stages=("disentangle", "align", "finetune", "refine")``
    linear, concat      ``decoder="plain", stages=("disentangle",), decoded="concat"``
    linear, pose        ``decoder="plain", stages=("disentangle",)``
    injection, concat   ``stages=("disentangle",), decoded="concat"``
    injection, pose     ``stages=("disentangle",)``
    ==================  ==============================================================================

    With ``given=("root", "scale", "side")``, ``pretrained=True`` and 256 x 256 pictures from `ViewAligner`
    and `HandCropper`, ``preset="paper"`` is the paper. Without "disentangle" the
    latent vector of X is one, of ``context_dim + latent_dim`` numbers, and so are aligned ones; the poses'
    mapper leads there.

    Choices, where the paper is silent or its print is wrong: all losses next to an MSE in square metres, and
    then divided by the square of y's one standard deviation, in metres (the paper names no unit); all KL
    terms added; the encoder of X minimises the cross entropy of its pose part being taken for a pose's, the
    discriminator Eq. 1, and the pose encoder neither; the decoder ends linear; a mapper reads mean and
    standard deviation and corrects a linear image of the mean, which starts as the identity; the shared
    decoder's batch normalisation takes its statistics from X alone, and decodes the poses' latent vectors
    with the running ones; widths and numbers of layers and ``preset="tuned"``'s ``adversarial_weight`` and
    ``beta`` (chosen on generated hands, one seed); He's initialisation, and distributions that start
    narrow; unknown coordinates (NaN) of a partly labelled pose enter the pose encoder as the mean pose's, and
    no loss. "refine" has no KL term, as printed, so that ``return_std`` and posterior samples grow narrower
    there.

    References
    ----------
    .. [1] A. Stergioulas, T. Chatzis, D. Konstantinidis, K. Dimitropoulos, P. Daras. 3D Hand Pose Estimation
       via aligned latent space injection and kinematic losses. CVPR Workshops 2021.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.estimators import AlignedLatentRegressor
    >>> hands = make_hands(64, image_size=32, random_state=0)
    >>> est = AlignedLatentRegressor(backbone="small", given=("root",), max_epochs=1, random_state=0)
    >>> est.fit(hands.data, hands.target).predict(hands.data).shape
    (64, 21, 3)
    >>> est.history_["stage"]
    ['disentangle', 'align', 'finetune', 'refine']
    """

    def __init__(
        self,
        *,
        preset: str = "tuned",
        latent_dim: int = 64,
        context_dim: int = 64,
        stages: Sequence[str] | str = "auto",
        decoder: str = "injection",
        decoded: str = "pose",
        beta: float | None = None,
        adversarial_weight: float | None = None,
        context_weight: float = 0.0,
        pose_weight: float = 1e-2,
        kcs_weight: float = 1e-2,
        geo_weight: float = 1e-6,
        lr: float | Mapping[str, float] = 1e-4,
        max_epochs: int | Mapping[str, int] = 100,
        batch_size: int = 64,
        source: str = "auto",
        backbone: str = "resnet18",
        pretrained: str | bool = False,
        hidden_units: int = 512,
        n_hidden_layers: int = 3,
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
        self.preset = preset
        self.latent_dim = latent_dim
        self.context_dim = context_dim
        self.stages = stages
        self.decoder = decoder
        self.decoded = decoded
        self.beta = beta
        self.adversarial_weight = adversarial_weight
        self.context_weight = context_weight
        self.pose_weight = pose_weight
        self.kcs_weight = kcs_weight
        self.geo_weight = geo_weight
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.source = source
        self.backbone = backbone
        self.pretrained = pretrained
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

    def transform(self, X: Any, source: str | None = None, space: str | None = None) -> np.ndarray:
        """Embed rows: the mean of each row's posterior.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``; for ``space="pose"`` or ``source="pose3d"`` poses, mm, as an array or the
            column ``pose3d``.
        source : str or None, default=None
            Modality to encode; None is that of X in ``fit``, and "pose3d" for ``space="pose"``.
        space : {"source", "context", "pose", "aligned"} or None, default=None
            The latent space; None is the one that predictions are decoded from, ``space_``. "source": what
            is decoded of the source's latent vector, be the source pictures, depth, keypoints or a table.
            "context": the rest of it. "pose": the pose encoder's. "aligned": what the mappers make of
            "source" or, for ``source="pose3d"``, of "pose".

        Returns
        -------
        Z : ndarray of shape (n, n_latent), float32
            Where ``set_output`` asks for a table, only ``space_`` has names for its columns.

        Raises
        ------
        InputError
            If X does not fit what was fitted, or there is no such space: "context" needs the stage
            "disentangle" and ``decoded="pose"``, "aligned" needs "align".
        """
        if space is None:
            return super().transform(X, source)
        check_is_fitted(self)
        check_option(space, "space", _SPACES)
        if space == "aligned" != self.space_:
            raise InputError("space: 'aligned' needs the stage 'align', which was not trained.")
        if space == "context" and not self.module_.n_skipped:
            raise InputError("space: 'context' needs the stage 'disentangle' with decoded='pose'.")
        if space == "aligned":
            return super().transform(X, source)
        if space != self.space_:
            self._require_plain_output(space)
        modality = "pose3d" if space == "pose" else self.source_
        if source not in (None, modality):
            raise InputError(f"source: expected {modality!r} for space={space!r}, got {source!r}.")
        columns = self._read_rows(X, modality, self.target_)

        def posterior(x: Any, modality: str, batch: dict[str, Any]) -> Any:
            if space == "context":
                parts = self.module_.encoders[modality](x, one_hot_side(batch))
                return [part[:, : self.module_.n_skipped] for part in parts]
            return self._code(x, modality, batch, aligned=False)

        return self._encode(columns, np.arange(len(columns[modality])), modality, posterior)[0]

    def discriminator_accuracy(self, X: Any, y: Any = None) -> float:
        """Return how often the discriminator tells latent vectors of X and of poses apart.

        On hands that ``fit`` has not seen, 0.5 says that the pose part of X's latent vector looks like the
        latent vector of a pose, and 1 that "disentangle" has disentangled nothing. The discriminator knows
        the encoders as they were at the end of "disentangle": ask before "finetune" and "refine". One that is
        trained anew on what `transform` returns may tell more apart, as the encoder answers to this one only.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``.
        y : array-like or None, default=None
            Their poses as in ``fit``, mm; None takes those of X's column ``pose3d``.

        Returns
        -------
        accuracy : float
            Mean over both kinds of latent vectors, one drawn for each row.

        Raises
        ------
        InputError
            If there is no discriminator, or X or y does not fit what was fitted.
        """
        check_is_fitted(self)
        discriminator = self.module_.discriminator
        if discriminator is None:
            raise InputError("stages: expected 'disentangle', which trains the discriminator, got none.")
        data = self._reader(True).read(X, y)
        rows = data.require(self.pairs_[0])
        generator, n_pose = torch.Generator().manual_seed(0), self.architecture_["latent_dim"]

        def posterior(x: Any, modality: str, batch: dict[str, Any]) -> Any:
            parts = self.module_.encoders[modality](encoder_input(x, modality), one_hot_side(batch))
            return [part[:, -n_pose:] for part in parts]

        shares = []
        for modality in (self.source_, "pose3d"):
            mean, log_var = self._encode(data.columns, rows, modality, posterior)
            latent = draw_latent(torch.from_numpy(mean), torch.from_numpy(log_var), generator)
            with torch.no_grad():
                is_pose = discriminator(latent.to(self.device_)).cpu() > 0
            shares.append(float((is_pose == (modality == "pose3d")).float().mean()))
        return sum(shares) / 2

    # ------------------------------------------------------------------ parameters

    _progress = (*PairedPoseEstimator._progress, "stage_", "space_")
    _paper_augment = AUGMENT
    stages_: tuple[str, ...]

    _checks: ClassVar[Mapping[str, Check]] = {
        **PairedPoseEstimator._checks,
        **dict.fromkeys(_WEIGHTS, number(low=0)),
        "adversarial_weight": optional(number(low=0)),
        "beta": optional(number(low=0)),
        "context_dim": width(),
        "decoded": one_of("pose", "concat"),
        "lr": by_stage(_STAGES, low=0, include_low=False),
        "max_epochs": by_stage(_STAGES, integer=True, low=1),
        "preset": one_of(*_PRESETS),
        "stages": _STAGES.check_or_auto,
    }

    def _has_auto_stages(self) -> bool:
        return isinstance(self.stages, str) and self.stages == "auto"

    def _settle(self, data: TrainingData, goes_on: bool) -> None:
        """Settle the stages."""
        is_hand = self.poses_ and self.shapes_["pose3d"] == (len(JOINTS), 3)
        if self._has_auto_stages():
            stages: tuple[str, ...] = ("disentangle", "align", "finetune", *(("refine",) if is_hand else ()))
        else:
            stages = _STAGES.check(self.stages)
        if "refine" in stages and not is_hand and (self.kcs_weight > 0 or self.geo_weight > 0):
            raise InputError(
                f"stages: 'refine' needs y with the {len(JOINTS)} joints, or kcs_weight=0 and geo_weight=0; "
                f"got y of shape {self.y_shape_} a row."
            )
        if goes_on:
            _STAGES.require_begun(stages, [*self.history_.get("stage", []), self.stage_])
        for name in ("max_epochs", "lr"):
            _STAGES.spread(getattr(self, name), name, stages)
        self.stages_ = stages

    def _pairs(self, source: str) -> list[tuple[str, str]]:
        check_option(source, "source", tuple(name for name in MODALITIES if name != "pose3d"))
        return [(source, "pose3d"), ("pose3d", "pose3d")]

    # ------------------------------------------------------------------ networks

    def _architecture(self) -> dict[str, Any]:
        sizes = {name: getattr(self, name) for name in ("latent_dim", "context_dim", "decoded")}
        rebuilds = float(self.context_weight > 0)  # it matters only whether there is such a decoder
        return {**sizes, "context_weight": rebuilds, **vars(self._layers())}

    def _start(self, run: Run) -> None:
        super()._start(run)
        if not run.goes_on:
            self.stage_, self.space_ = self.stages_[0], "source"

    def _build_module(self, pretrained: str | bool) -> AlignedVAE:
        made, layers = self.architecture_, self._fitted_layers(pretrained)
        n_pose, n_context, n_decoded = made["latent_dim"], made["context_dim"], self._n_latent()
        source, pose = MODALITIES[self.source_], MODALITIES["pose3d"]
        if pretrained and not source.is_image:
            raise InputError(f"pretrained: expected pictures as X, got {self.source_}.")
        encoders = {
            name: record.encoder(self.shapes_[name], size, layers)
            for name, record, size in ((self.source_, source, n_context + n_pose), ("pose3d", pose, n_pose))
        }
        decoder, pose_decoder = (
            pose.decoder(self.shapes_["pose3d"], size, layers) for size in (n_decoded, n_pose)
        )
        mappers = {
            name: LatentMapper(size, n_decoded, hidden_units=made["hidden_units"])
            for name, size in ((self.source_, n_decoded), ("pose3d", n_pose))
        }
        discriminator = None
        if self.stages_[0] == "disentangle":
            discriminator = LatentDiscriminator(n_pose, hidden_units=made["hidden_units"])
        n_skipped = n_context + n_pose - n_decoded
        source_decoder = None
        if made.get("context_weight", 0.0) > 0:
            source_decoder = source.decoder(self.shapes_[self.source_], n_context + n_pose, layers)
        return AlignedVAE(encoders, mappers, decoder, pose_decoder, discriminator, n_skipped, source_decoder)

    def _n_latent(self) -> int:
        made = self.architecture_
        alone = self.stages_[0] == "disentangle" and made["decoded"] == "pose"
        return made["latent_dim"] if alone else made["context_dim"] + made["latent_dim"]

    def _sources(self) -> list[str]:
        return [self.source_, *(["pose3d"] if self.space_ == "aligned" else [])]

    def _posterior(self, x: Any, modality: str, batch: dict[str, Any]) -> tuple[Any, Any]:
        return self._code(x, modality, batch, aligned=self.space_ == "aligned")

    def _code(self, x: Any, modality: str, batch: dict[str, Any], *, aligned: bool) -> tuple[Any, Any]:
        x = encoder_input(x, modality)
        return self.module_.posterior(x, modality, one_hot_side(batch), aligned=aligned)

    # ------------------------------------------------------------------ stages

    def _stage_names(self) -> tuple[str | None, ...]:
        return _STAGES.names

    def _stages_ahead(self, one_epoch: bool) -> list[tuple[str, int, int]]:
        epochs = _STAGES.spread(self.max_epochs, "max_epochs", self.stages_)
        done = {stage: self._epochs_of(stage) if self.history_ else 0 for stage in self.stages_}
        ahead = _STAGES.ahead(self.stages_, self.stage_, self._finished, epochs, done)
        return [(name, 1, n or done[name]) for name, _, n in ahead[:1]] if one_epoch else ahead

    def _enter_stage(self, name: str, n_epochs: int, n_done: int, run: Run) -> Stage:
        self.stage_ = name
        if name in ("align", "finetune"):
            self.space_ = "aligned"
        self._live.frozen = ("encoders",) if name == "align" else ()
        objective = self._objective(name, n_done, run)
        whole = _STAGES.spread(self.max_epochs, "max_epochs", self.stages_)[name]
        falls = self.lr_schedule == "cosine" and n_done < whole
        return Stage(
            objective,
            objective.streams,
            _STAGES.spread(self.lr, "lr", self.stages_)[name],
            self.batch_size,
            n_epochs,
            name=name,
            descent=(whole, n_done) if falls else None,
        )

    def _objective(self, name: str, n_done: int, run: Run) -> AlignedObjective:
        """Return what a stage minimises."""
        data, settings = run.data, self._objective_settings(run)
        rows = data.require(self.pairs_[0])
        poses = self._rooted(data.columns["pose3d"][data.rows]).reshape(len(data.rows), -1)
        pose_rows = data.rows[np.isfinite(poses).any(axis=1)]  # those that are partly known train too
        aligned, metres = self.space_ == "aligned", self._metres()
        if name == "refine":
            turn = n_done * -(-len(rows) // self.batch_size)  # where the stage goes on, so do the turns
            weights = self.kcs_weight, self.geo_weight
            return RefineObjective(self.source_, rows, *weights, metres, aligned, turn, **settings)
        arguments = (self.source_, rows, pose_rows, self._setting("beta") / metres**2)
        if name in ("align", "finetune"):
            return AlignObjective(*arguments, self.pose_weight, name == "finetune", **settings)
        weights = self._setting("adversarial_weight"), self.context_weight
        return AutoencoderObjective(*arguments, *(weight / metres**2 for weight in weights), **settings)

    def _setting(self, name: str) -> float:
        """Return a parameter, or what stands in for None: the preset's value, by the kind of X."""
        value: float | None = getattr(self, name)
        if value is not None:
            return value
        return (_TUNED_FOR_PICTURES if self._is_light() else _PRESETS[self.preset])[name]

    def _is_light(self) -> bool:
        """Return whether the preset's weights are those for pictures."""
        return self.preset == "tuned" and self.source_ in PICTURES

    def _metres(self) -> float:
        """Return the length of one unit of the standardised target, m: weights are next to square metres."""
        if not self.poses_:
            return _HAND
        return float(self.codecs_["pose3d"].std.mean()) * self.scale_mean_ / 1000.0

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        weak = self.beta is None and self._is_light()  # by intent: no warning
        beta, adversarial = 0.0 if weak else self._setting("beta"), self._setting("adversarial_weight")
        return [
            ("kl_gradient", "beta", beta, "the KL term"),
            ("kl_pose_gradient", "beta", beta, "the pose encoder's KL term"),
            ("mse_pose_gradient", "pose_weight", self.pose_weight, "the poses' own MSE"),
            ("adversarial_gradient", "adversarial_weight", adversarial, "the term 'adversarial'"),
            ("context_gradient", "context_weight", self.context_weight, "the term 'context'"),
            ("kcs_gradient", "kcs_weight", self.kcs_weight, "the term 'kcs'"),
            ("geo_gradient", "geo_weight", self.geo_weight, "the term 'geo'"),
        ]
