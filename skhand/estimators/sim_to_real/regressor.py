"""SimToRealRegressor: synthetic and partly labelled real pictures, after Abdi et al. 2018."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skhand._validation import check_option, warn_user
from skhand.estimators._base import PoseEstimator, Run
from skhand.estimators._data import TrainingData
from skhand.estimators._inputs import check_given
from skhand.estimators._latent import choose_rows
from skhand.estimators._paired import PairedPoseEstimator
from skhand.estimators._parameters import Check, by_stage, number, one_of, optional, width
from skhand.estimators.sim_to_real.data import DomainReader
from skhand.estimators.sim_to_real.network import DOMAINS, SimToRealNet
from skhand.estimators.sim_to_real.settings import (
    BLIND_SHARE,
    BLIND_STEPS,
    HALF_CUBE,
    PRESETS,
    SOURCES,
    STAGES,
    STARTS,
    SUPERVISION,
    TERMS,
    WEIGHTS,
    fall_in_steps,
)
from skhand.estimators.sim_to_real.steps import (
    AUGMENT,
    DepthObjective,
    PoseObjective,
    PosteriorObjective,
    SimToRealObjective,
)
from skhand.estimators.sim_to_real.terms import SignedCodec, code_pose, other_domain
from skhand.exceptions import InputError, TrainingWarning
from skhand.training import Stage, fall_along_cosine, fetch

__all__ = ["SimToRealRegressor"]


class SimToRealRegressor(PairedPoseEstimator):
    """3D hand pose from real pictures, learned from synthetic ones and few or no real labels.

    Three stages (LSPS; Abdi et al. 2018). "pose": a variational autoencoder of poses. "depth": encoders,
    generators and discriminators of synthetic and of real pictures, unpaired, around one latent space, and a
    mapping from the latent space of poses to it. "posterior": the discriminators' layers learn to find a
    picture's latent vector of its pose, while they are held to see the same in what the generators make of
    one scene for both domains.

    Parameters
    ----------
    preset : {"paper", "code"}, default="paper"
        Whose weights, schedule and KL terms stand in for what is None below: the paper's, or those of its
        published code. The notes list both.
    latent_dim : int, default=20
        Size of the latent space of poses.
    width : int, default=64
        Channels of the first convolution; those of all others are in proportion. 64 is the paper's.
    pose_hidden_units : int or None, default=None
        Hidden units of the pose encoder and of the pose decoder.
    stages : "auto" or tuple of str, default="auto"
        What is trained: "pose", and then any of "depth" and "posterior", in this order. "auto" is all three
        where X has rows of both domains, and else ("pose", "posterior").
    supervision : {"all", "synthetic", "real"}, default="all"
        Whose labels are used. With "synthetic" or "real" the labels of the other domain are used nowhere, the
        posterior learns from labelled pictures alone (no feature matching), and rows of both domains are
        predicted through the front layers of that domain.
    domain : {"synthetic", "real"}, default="real"
        What rows without the name of a domain are, in ``fit`` and afterwards: all rows of an X without the
        column ``domain``, and those where it is empty or None. Of that column, "synthetic" is synthetic and
        any other name is real; ``fit`` warns where several names leave only one domain.
    pose_kl_weight, pose_weight : float or None, default=None, None
        lambda_0 and lambda_1: KL term and reconstruction of poses.
    kl_weight, reconstruction_weight : float or None, default=None, None
        lambda_2 and lambda_3: KL terms and reconstructions of pictures, also of twice translated ones.
    adversarial_weight : float or None, default=None
        lambda_4: cross entropies, of generators and of discriminators.
    map_weight, map_picture_weight : float or None, default=None, None
        lambda_5 and lambda_6: mapped poses against the latent maps of their pictures, and against these.
    posterior_weight : float or None, default=None
        lambda_7: latent vectors found in pictures against those of their poses.
    feature_weight, posterior_feature_weight : float or None, default=None, None
        lambda_8 in the stages "depth" and "posterior": the feature matching.
    depth_warm_up : float, default=0.0
        Share of the stage "depth", at its start, in which one encoder and one generator learn to rebuild the
        pictures of both domains, and discriminators and the mapping nothing. Both domains' own layers then
        start from them, so that a translation starts as the picture that came. The paper has none: two
        autoencoders that were trained apart do not share a latent space, and translations between them lose
        a hand's shape.
    posterior_start : {"own", "synthetic"}, default="own"
        Where the real domain's front layers start from in the stage "posterior", in which they learn from
        generated pictures only where no real ones have labels. "own" is what the stage "depth" made of them,
        as in the paper. With "synthetic", which is not in the paper, they are those of the synthetic domain
        for the first half of the stage, and features are matched in the second half only; it is "own" where
        no synthetic picture has a label.
    max_iter : int, dict of str to int or None, default=None
        Training steps, for each stage or by stage; a stage that a dict leaves out has the preset's.
    lr : float, dict of str to float or None, default=None
        Learning rate of Adam, in the same way. Its betas are 0.5 and 0.999, its weight decay the preset's.
    batch_size : int, dict of str to int or None, default=None
        Rows of each domain in a training step, in the same way.
    epoch_steps : int, default=1000
        Training steps of an epoch, which is an entry of the history and what early stopping counts. The last
        one of a stage may be shorter.
    source : {"auto", "depth", "rgb"}, default="auto"
        Modality of ``X``; "auto" reads it off X and takes depth where X has both.
    given : tuple of str, default=()
        What is given to the model in addition to X, any of "root" (T) and "scale" (S); see
        `CrossModalVAERegressor`. The paper gives the root: it knows the centre of the hand's cube. Depth
        pictures are then relative to their own middle, within 150 mm of it.
    root : str or int, default="palm"
        The root joint: a joint's name or index, or "palm". Poses that have not 21 joints need an index, such
        as 32 for NYU's 36 (the palm's point among the 14 that are evaluated).
    flat_poses : bool, default=False
        Whether y of two axes, (n, 3 * n_joints), is flattened poses. Otherwise its columns are any numbers,
        standardised one by one, unless "root" or "scale" is given, which only poses have.
    augment : {"auto", "paper", None} or dict, default="auto"
        Augmentation, in batches on the device; see `skhand.training.check_augment` for the names of a dict.
        "auto" is the paper's for y made of poses (rotation within 180 degrees, 10 mm of translation of a cube
        of 300 mm), and none otherwise.
    lr_schedule : {"constant", "cosine"} or None, default=None
        Course of the learning rate within each stage; "cosine" falls from step to step, to 0 at the stage's
        last. None is the preset's: constant, or in "code" a few falls. What ``partial_fit`` trains beyond the
        stage's last step has the whole rate.
    early_stopping : bool, default=False
        Whether the stage "posterior" ends when its validation error no longer improves, and to bring its best
        weights back. The other stages have no validation error.
    validation_fraction : float, default=0.1
        Share of the labelled rows that is set aside, at random, for early stopping, where ``fit`` gets no
        ``X_val``: of those of the real domain where there are two or more, and else of all, so that without
        real labels the error is that of synthetic pictures. Neighbouring frames of a video are
        near-duplicates: give ``X_val`` then.
    n_iter_no_change : int, default=10
        Epochs without improvement before the stage ends.
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
        Called during the training of each stage, after skhand's own. scikit-learn's own callbacks go through
        ``set_callbacks``; when one of them stops, it stops all stages.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the last fit: in the stage that was interrupted, with its optimiser and
        the steps that it lacks, and then with the stages that were not trained yet. Where none is left, the
        last stage is trained again, with a new optimiser. So a copy of an estimator that was fitted with
        ``stages=("pose", "depth")`` may learn the posterior with another ``supervision``.
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
    module_ : SimToRealNet
        The networks, in evaluation mode.
    n_parameters_ : int
        Number of their weights, those of later stages included.
    stages_ : tuple of str
        The stages of the last fit.
    stage_ : str
        The stage that was trained last; after an interrupt, the one that was interrupted.
    n_steps_ : dict of str to int
        Training steps that each stage has really run, an interrupted epoch's left out.
    n_iter_ : int
        Number of epochs, of all stages.
    history_ : dict of str to list
        One column a loss term and one entry an epoch, NaN where the stage has no such term: ``stage``,
        ``train_loss`` (the sum of the terms), ``pose``, ``pose_kl``, ``reconstruction``, ``kl``, ``cycle``,
        ``cycle_kl``, ``adversarial``, ``map``, ``map_picture``, ``discriminator``, ``feature``,
        ``posterior``, ``posterior_feature`` (all weighted), ``seconds``, and ``valid_epe`` (mm) or
        ``valid_rmse`` with validation data. ``<term>_gradient`` is the norm of a term's gradient over that of
        the main term's, in the epoch's first batch: at the pose's latent distribution against ``pose``, at
        pictures' latent maps against ``reconstruction``, at mapped latent maps against ``map_picture`` (for
        ``map``), at the generators' shared block against ``reconstruction`` (for ``map_picture``), and at the
        discriminators' shared layers against ``discriminator`` or ``posterior`` (for the feature matching).
    domains_ : tuple of str
        Domains that the training rows came from.
    front_ : dict of str to str
        For each domain of a row the domain whose front layers predict it: its own where they were trained.
    mapped_ : bool
        Whether the stage "depth" has trained the mapping from poses to pictures, which `sample` and
        `translate` need for pictures of poses: not where ``map_weight`` and ``map_picture_weight`` are 0,
        nor before the steps of ``depth_warm_up`` are over.
    posterior_variance_ : ndarray of shape (latent_dim,)
        Mean squared distance of the latent vectors found in training pictures from those of their poses; 1
        before the stage "posterior" has trained. It is the same for all pictures and, measured on training
        rows, optimistic. ``return_std`` and `sample_posterior` use it: the network itself gives no variance.
    source_, target_ : str
        Modality of X, and "pose3d".
    latent_mean_, latent_cov_ : ndarray
        0 and the identity: `sample` draws from the prior, as in the paper.
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
    skhand.preprocessing.DepthCropper : The cube around the hand that the paper's pictures show.

    Notes
    -----
    The rows of the paper's Table 1 as settings, with real rows without a label being rows whose y is NaN:

    ================  =================================================================================
    row               settings
    ================  =================================================================================
    Synthetic-Only    ``stages=("pose", "posterior"), supervision="synthetic"``
    Synthetic-Only*   ``stages=("pose", "depth", "posterior"), supervision="synthetic"``
    LSPS-Synthetic    the defaults, y of all real rows being NaN
    Real data*        ``stages=("pose", "depth", "posterior"), supervision="real"``
    Sec. 3.3          the defaults, y of some real rows being NaN
    ================  =================================================================================

    With ``given=("root",)`` and 128 x 128 depth pictures from `DepthCropper` the defaults are the paper's,
    but for the choices below. The presets:

    =======================================  =====================  =====================
    parameter                                "paper"                "code"
    =======================================  =====================  =====================
    pose_hidden_units                        30                     50
    pose_kl_weight, pose_weight              0.1, 100               0.1, 100
    kl_weight, reconstruction_weight         0.1, 100               0.1, 100
    adversarial_weight                       10                     10
    map_weight, map_picture_weight           100, 10 000            0, 0
    posterior_weight                         10                     10
    feature_weight                           1e-4                   1e-3
    posterior_feature_weight                 1                      10
    max_iter (pose, depth, posterior)        2e5, 5e5, 5e4          2e5, 5e5, 5e4
    lr                                       1e-4                   1e-3, 1e-4, 1e-4
    batch_size                               128, 1, 32             64, 1, 32
    weight decay                             1e-4                   1e-3, 1e-4, 1e-4
    lr_schedule                              constant               falls in steps
    KL term of poses                         standard               without 1/2
    latent noise of poses                    standard               0.05 of the deviation
    KL term of pictures                      1/2 ||mean||^2         mean of mean^2
    rows of a batch with matched features    all                    the first four
    =======================================  =====================  =====================

    "code" has the released code's weights, sizes and rates: a pose rate that falls to a tenth after 62.5% and
    after 87.5% of the stage's steps, and others that are halved after 40, 60, 80 and 90%; and no mapping,
    which both of its configurations switch off, so that their two weights of 1 000 are never used. With 0 and
    0 `sample` draws poses alone. Not all of the code is there: it also has one augmentation a sample (none, a
    rotation or a normal shift), plain residual blocks, a 7 x 7 first layer and patches in its discriminators.
    The paper names no weight decay; that of "paper" is a choice.

    In short trainings the poses' autoencoder of "paper" has the higher floor, because its latent noise is
    twenty times that of "code": 9.5 mm against 4.0 mm after 3 000 steps with a rate of 1e-3 on generated
    poses. No posterior gets below it.

    The posterior starts from what the discriminators have become. In trials with 32 px and a width of 8 a
    rate of 3e-3 in the stage "depth" left most of their last channels without any response, from which the
    posterior did not recover; 1e-3 did no harm.

    Choices, where the paper is silent or its print is wrong: poses are centred on the mean training pose, in
    units of 150 mm, half of the cube; with the root given, a depth picture is centred on the median of its
    own measured pixels, where the paper takes the centre of the hand's cube: no picture needs a known centre
    then, but the median lies some 20 mm before the palm and moves where a sensor sees less of the hand;
    differences of poses and pictures are mean absolute ones, the 2-norms of Eq. 6 and 7 mean squared ones;
    the feature matching is a mean too, over the 8192 values (at 128 px and width 64) that the norm of Eq. 8
    would sum; the KL term of pictures is divided by the number of a picture's values, as a sum beside a mean
    would leave no latent maps but 0; the second term of Eq. 6 is minimised with a plus before the difference;
    discriminators minimise their cross entropies and the feature matching, everything else minimises the
    cross entropy of being taken for real; discriminators step first, on the pictures that the generators then
    learn from; latent vectors of poses are samples wherever a loss reads them; unknown coordinates (NaN) of a
    partly labelled pose enter the pose encoder as the mean pose's, and no loss. Where only some rows of a
    domain are labelled, a step of "depth" and "posterior" reads one batch of all of its rows and another one
    of the labelled.

    An epoch of ``partial_fit`` is one pass through the rows of the present stage, of at most ``epoch_steps``
    steps. It never goes back to a stage before the one that was begun last, and neither does ``warm_start``.

    On a GPU a training step is recorded as a CUDA graph and replayed, in the stage "depth" five to nine
    times as fast as its kernels one by one; not so where a callback asks for the gradients of each step
    (``on_grad_computed``).

    References
    ----------
    .. [1] M. Abdi, E. Abbasnejad, C. P. Lim, S. Nahavandi. 3D Hand Pose Estimation using Simulation and
       Partial-Supervision with a Shared Latent Space. BMVC 2018.

    Examples
    --------
    >>> import numpy as np
    >>> from skhand import concat_frames
    >>> from skhand.datasets import make_hands
    >>> from skhand.estimators import SimToRealRegressor
    >>> settings = {"image_size": 16, "images": ("depth",), "random_state": 0}
    >>> synthetic = make_hands(32, **settings)
    >>> real = make_hands(32, domain="real", **settings)
    >>> X = concat_frames([synthetic.data, real.data])
    >>> y = np.concatenate([synthetic.target, np.full_like(real.target, np.nan)])
    >>> est = SimToRealRegressor(width=2, max_iter=4, given=("root",), random_state=0).fit(X, y)
    >>> est.predict(real.data).shape
    (32, 21, 3)
    >>> est.translate(real.data, to="synthetic").shape
    (32, 16, 16)
    >>> sorted(est.sample(3, target=("pose3d", "synthetic", "real")))
    ['pose3d', 'real', 'synthetic']
    """

    def __init__(
        self,
        *,
        preset: str = "paper",
        latent_dim: int = 20,
        width: int = 64,
        pose_hidden_units: int | None = None,
        stages: Sequence[str] | str = "auto",
        supervision: str = "all",
        domain: str = "real",
        pose_kl_weight: float | None = None,
        pose_weight: float | None = None,
        kl_weight: float | None = None,
        reconstruction_weight: float | None = None,
        adversarial_weight: float | None = None,
        map_weight: float | None = None,
        map_picture_weight: float | None = None,
        posterior_weight: float | None = None,
        feature_weight: float | None = None,
        posterior_feature_weight: float | None = None,
        depth_warm_up: float = 0.0,
        posterior_start: str = "own",
        max_iter: int | Mapping[str, int] | None = None,
        lr: float | Mapping[str, float] | None = None,
        batch_size: int | Mapping[str, int] | None = None,
        epoch_steps: int = 1000,
        source: str = "auto",
        given: tuple[str, ...] = (),
        root: str | int = "palm",
        flat_poses: bool = False,
        augment: Any = "auto",
        lr_schedule: str | None = None,
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
        self.width = width
        self.pose_hidden_units = pose_hidden_units
        self.stages = stages
        self.supervision = supervision
        self.domain = domain
        self.pose_kl_weight = pose_kl_weight
        self.pose_weight = pose_weight
        self.kl_weight = kl_weight
        self.reconstruction_weight = reconstruction_weight
        self.adversarial_weight = adversarial_weight
        self.map_weight = map_weight
        self.map_picture_weight = map_picture_weight
        self.posterior_weight = posterior_weight
        self.feature_weight = feature_weight
        self.posterior_feature_weight = posterior_feature_weight
        self.depth_warm_up = depth_warm_up
        self.posterior_start = posterior_start
        self.max_iter = max_iter
        self.lr = lr
        self.batch_size = batch_size
        self.epoch_steps = epoch_steps
        self.source = source
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

    def transform(self, X: Any, source: str | None = None, space: str = "pose") -> np.ndarray:
        """Embed rows: the mean of each row's posterior.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``; for ``source="pose3d"`` poses, mm, as an array or the column ``pose3d``.
        source : str or None, default=None
            Modality to encode, "pose3d" or that of X in ``fit``, which None is.
        space : {"pose", "depth"}, default="pose"
            The latent space of poses, or that of the pictures of both domains, to which poses are mapped.

        Returns
        -------
        Z : ndarray of shape (n, latent_dim) or (n, 4 * width * height / 4 * width / 4), float32
            For "depth" the flattened maps, (4 * width, height / 4, width / 4) a row, the picture's sizes
            rounded up.

        Raises
        ------
        InputError
            If X does not fit what was fitted, or the stage "depth" was not trained and ``space`` needs it.
        """
        check_is_fitted(self)
        check_option(space, "space", ("pose", "depth"))
        if space == "pose":
            return super().transform(X, source)
        self._require_plain_output(space)
        source, _, columns = self._read(X, source, None)
        self._require_depth("space: 'depth'", source)

        def maps(x: Any, modality: str, batch: dict[str, Any]) -> Any:
            flat = self._maps(x, modality, batch).flatten(1)
            return flat, flat[:, :0]

        return self._encode(columns, np.arange(len(columns[source])), source, maps)[0]

    def translate(self, X: Any, to: str, source: str | None = None) -> np.ndarray:
        """Bring rows to another domain: pictures through the latent space of pictures, poses through both.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows of the modality ``source``. Its column ``domain``, or the parameter, says where pictures are
            from; those of the domain ``to`` are reconstructed.
        to : {"synthetic", "real", "pose"}
            Where to; "pose" is `predict`.
        source : str or None, default=None
            Modality of X, "pose3d" or that of X in ``fit``, which None is.

        Returns
        -------
        pictures : ndarray of shape (n, height, width), mm, or (n, height, width, 3), uint8
            As X's own look: depth is around each picture's own middle, 0 where nothing is near. Of poses with
            "root" given, depth is around the training pictures' mean. For "pose" poses, mm, as from
            `predict`.

        Raises
        ------
        InputError
            If X does not fit what was fitted, or the stage "depth" was not trained.
        """
        check_is_fitted(self)
        check_option(to, "to", (*DOMAINS, "pose"))
        if to == "pose":
            return self.predict(X, source=source)
        source, _, columns = self._read(X, source, None)
        self._require_depth(f"to: {to!r}", source)
        if source == "pose3d":
            return self.predict(X, source=source, target=to)
        codec = self.codecs_[source]
        names = [*codec.columns, *self._encoder_columns()]

        def read(rows: np.ndarray) -> dict[str, torch.Tensor]:
            return fetch(columns, names, rows, self.device_)

        def translate(batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor]:
            maps = self._maps(codec.encode(batch), source, batch)
            return (codec.decode(self.module_.generate(maps, to), batch),)

        return self._in_chunks(np.arange(len(columns[source])), read, translate, True)[0]

    def _require_depth(self, what: str, source: str) -> None:
        if not self.n_steps_["depth"]:
            raise InputError(f"{what} needs the stage 'depth', which was not trained.")
        if source == "pose3d" and not self.mapped_:
            raise InputError(
                f"{what} needs the mapping of poses, which was not trained: map_weight and "
                "map_picture_weight were 0, or the warm-up was all of the stage."
            )

    def _check_modality(self, name: str | None, argument: str, known: Any, default: str) -> str:
        if argument == "target" and isinstance(name, str) and name in DOMAINS:
            self._require_depth(f"target: {name!r}", "pose3d")
        return super()._check_modality(name, argument, known, default)

    # ------------------------------------------------------------------ parameters

    _progress = (*PairedPoseEstimator._progress, "stage_", "n_steps_", "front_", "mapped_", "_n_before")
    _paper_augment = AUGMENT
    _augments_as_paper = True
    _reader_type = DomainReader
    _main_term = "the main term"
    _memory_format = torch.contiguous_format  # instance normalisation would copy every map there and back
    mapped_: bool = True  # of files from before there was a choice
    stages_: tuple[str, ...]
    front_: dict[str, str]

    _checks: ClassVar[Mapping[str, Check]] = {
        **PoseEstimator._checks,
        **dict.fromkeys(WEIGHTS, optional(number(low=0))),
        "batch_size": optional(by_stage(STAGES, integer=True, low=1)),
        "depth_warm_up": number(low=0, high=1),
        "domain": one_of(*DOMAINS),
        "epoch_steps": number(integer=True, low=1),
        "latent_dim": width(),
        "lr_schedule": optional(one_of("constant", "cosine")),
        "lr": optional(by_stage(STAGES, low=0, include_low=False)),
        "max_iter": optional(by_stage(STAGES, integer=True, low=1)),
        "pose_hidden_units": optional(width()),
        "posterior_start": one_of(*STARTS),
        "preset": one_of(*PRESETS),
        "source": one_of("auto", *SOURCES),
        "stages": STAGES.check_or_auto,
        "supervision": one_of(*SUPERVISION),
        "width": width(),
    }
    _checked_to_predict = (*PairedPoseEstimator._checked_to_predict, "domain")

    def _validate_parameters(self) -> Any:
        if "side" in check_given(self.given):
            raise InputError(
                "given: expected 'root' and 'scale' only, got 'side': these networks take no side. "
                "skhand.preprocessing.HandMirror brings all hands to one."
            )
        return super()._validate_parameters()

    def _has_auto_stages(self) -> bool:
        return isinstance(self.stages, str) and self.stages == "auto"

    def _setting(self, name: str) -> Any:
        """Return a parameter, or the preset's value where it is None."""
        value = getattr(self, name)
        return PRESETS[self.preset][name] if value is None else value

    def _spread(self, name: str) -> dict[str, Any]:
        """Return a parameter by stage: one value for all, or a dict, completed from the preset."""
        value = self._setting(name)
        if isinstance(value, Mapping):
            value = {**PRESETS[self.preset][name], **value}
        return STAGES.spread(value, name, STAGES.names)

    def _pairs(self, source: str) -> list[tuple[str, str]]:
        check_option(source, "source", SOURCES)
        return [(source, "pose3d")]

    def _set_aside(self, data: TrainingData) -> TrainingData:
        """Set labelled rows of the real domain aside, or of both where it has fewer than two."""
        domain, labelled = data.columns["domain"], data.usable(self.pairs_[0])
        real = labelled[domain[labelled] == DOMAINS.index("real")]
        candidates = real if len(real) > 1 else labelled
        data = data.set_aside(candidates, self.validation_fraction, self._split_seed)
        left = {DOMAINS[i] for i in np.unique(domain[data.rows])}
        if left != set(self.domains_):
            raise InputError(
                f"validation_fraction: expected rows of {self.domains_} left to train on, "
                f"got only {tuple(left)} with {self.validation_fraction}."
            )
        return data

    def _settle(self, data: TrainingData, goes_on: bool) -> None:
        """Settle the domains and the stages."""
        domain = data.columns["domain"]
        self.domains_ = tuple(name for i, name in enumerate(DOMAINS) if (domain == i).any())
        size = self.shapes_[self.source_][:2]
        least = SimToRealNet.min_size
        if min(size) < least:
            raise InputError(
                f"X: expected pictures of at least {least} x {least} px, got {size[0]} x {size[1]}."
            )
        both = self.domains_ == DOMAINS
        if self._has_auto_stages():
            ready = both or (goes_on and "depth" in self._finished)
            stages: tuple[str, ...] = STAGES.names if ready else ("pose", "posterior")
        else:
            stages = STAGES.check(self.stages)
        if goes_on:
            STAGES.require_begun(stages, [*self.history_.get("stage", []), self.stage_])
        trained = goes_on and "depth" in self._finished and stages[-1] != "depth"
        if "depth" in stages and not (both or trained):
            raise InputError(
                f"stages: 'depth' needs rows of both domains, got only {self.domains_}. X's column domain, "
                "or the parameter domain, says where rows are from."
            )
        self.stages_ = stages

    # ------------------------------------------------------------------ networks

    def _architecture(self) -> dict[str, Any]:
        return {name: self._setting(name) for name in ("latent_dim", "width", "pose_hidden_units")}

    def _start(self, run: Run) -> None:
        super()._start(run)
        if run.goes_on:
            return
        picture = SignedCodec(self.codecs_[self.source_])
        self.codecs_.update(dict.fromkeys([self.source_, *DOMAINS], picture))
        if self.poses_:
            codec = self.codecs_["pose3d"]
            codec.std = np.full_like(codec.std, HALF_CUBE / self.scale_mean_)
        self.stage_, self.n_steps_ = self.stages_[0], dict.fromkeys(STAGES.names, 0)
        self.front_, self.mapped_ = {domain: domain for domain in DOMAINS}, False
        self.posterior_variance_ = np.ones(self.latent_dim)

    def _build_module(self, pretrained: str | bool) -> SimToRealNet:
        height, width = self.shapes_[self.source_][:2]
        n_outputs = int(np.prod(self.shapes_["pose3d"]))
        return SimToRealNet(
            n_outputs, {"depth": 1, "rgb": 3}[self.source_], (height, width), **self.architecture_
        )

    def _n_latent(self) -> int:
        return self.architecture_["latent_dim"]

    def _sources(self) -> list[str]:
        return [self.source_, "pose3d"]

    def _targets(self) -> list[str]:
        return ["pose3d", *(DOMAINS if self.n_steps_["depth"] and self.mapped_ else ())]

    def _output(self, latent: Any, target: str) -> Any:
        if target == "pose3d":
            return self.module_.pose_decoder(latent)
        return self.module_.generate(self.module_.map_pose(latent), target)

    def _encoder_columns(self) -> list[str]:
        return ["domain"]

    def _posterior(self, x: Any, modality: str, batch: dict[str, Any]) -> tuple[Any, Any]:
        if modality == "pose3d":
            return code_pose(self.module_, x)
        fronts = [self.front_[domain] for domain in DOMAINS]
        features = _by_domain(batch["domain"], fronts, lambda front: self.module_.features(x, front))
        mean = self.module_.posterior(features)
        log_var = torch.as_tensor(np.log(self.posterior_variance_), dtype=mean.dtype, device=mean.device)
        return mean, log_var.expand_as(mean)

    def _encode(
        self, columns: dict[str, Any], rows: np.ndarray, source: str, posterior: Any = None
    ) -> tuple[np.ndarray, np.ndarray]:
        if posterior is None and source != "pose3d" and not self.n_steps_["posterior"]:
            warn_user(
                "stages: the stage 'posterior' has trained no epoch yet: what it finds is chance.",
                TrainingWarning,
            )
        return super()._encode(columns, rows, source, posterior)

    def _maps(self, x: Any, modality: str, batch: dict[str, Any]) -> Any:
        """Latent maps of rows: encoded pictures, or mapped poses."""
        if modality == "pose3d":
            return self.module_.map_pose(code_pose(self.module_, x)[0])
        return _by_domain(batch["domain"], DOMAINS, lambda domain: self.module_.encode(x, domain))

    def _conclude(self, data: TrainingData) -> None:
        """Measure how far the posterior is from (some of) the training rows' poses; the prior stays."""
        if self.n_steps_["depth"] - self._n_before["depth"] >= BLIND_STEPS:
            labelled = data.columns["domain"][data.require(self.pairs_[0])]
            self._warn_if_blind(2 * len(DOMAINS) + self.mapped_ * len(np.unique(labelled)))
        if not self.n_steps_["posterior"]:
            return
        some = choose_rows(data.usable(self.pairs_[0]))
        guess, _ = self._encode(data.columns, some, self.source_)
        true, _ = self._encode(data.columns, some, "pose3d")
        off = np.square(guess - true, dtype=np.float64).mean(axis=0)
        self.posterior_variance_ = np.maximum(off, np.finfo(np.float32).tiny)

    def _warn_if_blind(self, n_entropies: int) -> None:
        """Warn of discriminators whose loss, so many cross entropies, stayed near that of a guess."""
        chance = self._setting("adversarial_weight") * n_entropies * np.log(2)
        losses = np.array(self.history_.get("discriminator", []), dtype=float)  # none in a warm-up
        losses = losses[np.isfinite(losses)]
        lowest = losses[losses.size > 1 :].min(initial=np.inf)  # after the first epoch, in which they begin
        if 0 < BLIND_SHARE * chance < lowest < np.inf:
            warn_user(
                f"adversarial_weight={self._setting('adversarial_weight'):g}: in the stage 'depth' the "
                f"discriminators stayed at chance (history_['discriminator'] was never below {lowest:.3g}; a "
                f"guess has {chance:.3g}): they judge nothing, or the generators answer each of their steps. "
                "Look at translations: where they are not like their domain, or no longer like the picture "
                "that came, try a depth_warm_up, larger batches or more steps.",
                TrainingWarning,
            )

    def _count_operations(self, columns: dict[str, Any]) -> float:
        """Return the floating-point operations of a row's training, but for the factor of its gradients.

        Encoders and generators, which the stage "depth" trains, do some forty times the posterior's work.
        """
        return (40 if "depth" in self.stages_ else 1) * super()._count_operations(columns)

    # ------------------------------------------------------------------ stages

    def _stage_names(self) -> tuple[str | None, ...]:
        return STAGES.names

    def _validates(self, name: str | None) -> bool:
        return name == "posterior"

    def _stages_ahead(self, one_epoch: bool) -> list[tuple[Any, int, int]]:
        """Return what a call trains: stages, epochs of each, and how many steps of it were done before."""
        self._n_before = self.n_steps_
        steps = self._spread("max_iter")
        ahead = STAGES.ahead(self.stages_, self.stage_, self._finished, steps, self.n_steps_)
        if one_epoch:
            return [(stage, 1, done or self.n_steps_[stage]) for stage, _, done in ahead[:1]]
        return [(stage, -(-n_steps // self.epoch_steps), done) for stage, n_steps, done in ahead]

    def _enter_stage(self, name: str, n_epochs: int, n_done: int, run: Run) -> Stage:
        self.stage_ = name
        objective = self._objective(name, run)
        whole, rate, size = (self._spread(setting)[name] for setting in ("max_iter", "lr", "batch_size"))
        left = whole - n_done
        learns = name == "posterior" and "synthetic" in objective.labelled  # the synthetic front layers
        if isinstance(objective, PosteriorObjective) and self.posterior_start == "synthetic" and learns:
            objective.apart_from = whole // 2 - n_done
            objective.replayable = False  # its steps are not all the same
        if isinstance(objective, DepthObjective) and self.depth_warm_up > 0:
            objective.warm_until = self._warm_steps() - n_done
            objective.replayable = False
        if run.one_epoch:  # no more than one pass
            one_pass = max(-(-len(rows) // size) for rows in objective.streams.values())
            left = min(self.epoch_steps, one_pass, left if left > 0 else one_pass)
        falls = PRESETS[self.preset]["falls"] if self.lr_schedule is None else None
        descends = (falls or self.lr_schedule == "cosine") and n_done < whole
        return Stage(
            objective,
            objective.streams,
            rate,
            size,
            n_steps=left,
            epoch_length=self.epoch_steps,
            name=name,
            descent=(whole, n_done) if descends else None,
            course=partial(fall_in_steps, falls[name]) if falls else fall_along_cosine,
            adam={"betas": (0.5, 0.999), "weight_decay": PRESETS[self.preset]["weight_decay"][name]},
            smallest=1,
        )

    def _note_steps(self, name: str | None, n_steps: int) -> None:
        self.n_steps_ = {**self.n_steps_, str(name): self._n_before[str(name)] + n_steps}
        if name == "depth":
            self.mapped_ |= self._maps_poses() and self.n_steps_[name] > self._warm_steps()

    def _warm_steps(self) -> int:
        """Steps of the stage "depth" that only rebuild pictures."""
        return round(self.depth_warm_up * self._spread("max_iter")["depth"])

    def _maps_poses(self) -> bool:
        """The stage "depth" trains the mapping, after its warm-up."""
        return self._setting("map_weight") > 0 or self._setting("map_picture_weight") > 0

    def _objective(self, name: str, run: Run) -> SimToRealObjective:
        """Return what a stage minimises."""
        data, labelled_rows = run.data, run.data.require(self.pairs_[0])
        weights = {weight.removesuffix("_weight"): self._setting(weight) for weight in WEIGHTS}
        arguments = (self.source_, weights, self.preset)
        settings = {**self._objective_settings(run), "use_side": False}
        if name == "pose":
            return PoseObjective(*arguments, rows=labelled_rows, **settings)
        rows, labelled = (
            {domain: some[data.columns["domain"][some] == i] for i, domain in enumerate(DOMAINS)}
            for some in (data.rows, labelled_rows)
        )
        labelled = {domain: some for domain, some in labelled.items() if len(some)}
        if name == "depth" and not self._maps_poses():
            labelled = {}
        if name == "posterior" and not self._settle_fronts(tuple(labelled)):
            rows = {}
        kind = DepthObjective if name == "depth" else PosteriorObjective
        return kind(*arguments, pictures=rows, labelled=labelled, **settings)

    def _settle_fronts(self, labelled: tuple[str, ...]) -> bool:
        """Settle whose front layers rows pass, and return whether features are matched."""
        matched = self.supervision == "all" and "depth" in self.stages_ and self.domains_ == DOMAINS
        trained = set(DOMAINS) if matched else set(labelled)
        if self.supervision == "all" and self.n_steps_["posterior"]:
            trained |= set(self.front_.values())
        self.front_ = {domain: domain if domain in trained else other_domain(domain) for domain in DOMAINS}
        return matched

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        return [
            (f"{name}_gradient", f"{weight}_weight", self._setting(f"{weight}_weight"), f"the term {name!r}")
            for name, weight in TERMS.items()
        ]


def _by_domain(
    domain: torch.Tensor, names: Sequence[str], function: Callable[[str], torch.Tensor]
) -> torch.Tensor:
    """Call a function for each domain's name on all rows and take each row's own answer.

    All rows go through each, so that a row's answer does not depend on the other rows.
    """
    wanted = dict.fromkeys(name for i, name in enumerate(names) if bool((domain == i).any()))
    answers = {name: function(name) for name in wanted}
    if len(answers) == 1:
        return next(iter(answers.values()))
    first, last = (answers[name] for name in names)
    return torch.where((domain == 0).view(-1, *[1] * (first.ndim - 1)), first, last)
