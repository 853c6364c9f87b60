"""LatentHeatmapRegressor: latent 2.5D heatmaps and absolute 3D poses, after Iqbal et al. 2018."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skhand._validation import check_bool, check_option, warn_user
from skhand._weights import HANDS
from skhand.estimators._base import PoseEstimator, Run
from skhand.estimators._data import TrainingData
from skhand.estimators._inputs import read_target, require_given, to_original_frame
from skhand.estimators._parameters import (
    CAMERA,
    Check,
    check_bone,
    check_bones,
    check_file,
    number,
    one_of,
    optional,
    width,
)
from skhand.estimators._score import variance_weighted_r2
from skhand.estimators.latent_heatmap.data import HeatmapReader
from skhand.estimators.latent_heatmap.labels import (
    Heatmaps,
    Pose25DPrediction,
    propagated_std,
    recover_poses,
    require_camera,
    root_depth_prior,
    root_distance,
    scale_ratio,
)
from skhand.estimators.latent_heatmap.network import HEATMAPS, NETWORKS, Maps25D, Pose25DNet, map_spread
from skhand.estimators.latent_heatmap.pretrained import check_agreement, read_pretrained
from skhand.estimators.latent_heatmap.steps import AUGMENT, HeatmapObjective, is_left
from skhand.estimators.latent_heatmap.turns import average_answers, turn_pictures
from skhand.exceptions import InputError, SideInformationError, TrainingWarning
from skhand.geometry import mean_bone_lengths
from skhand.nn import BACKBONES, TRUNKS, fold_once
from skhand.skeleton import JOINTS, root_position
from skhand.training import MODALITIES, CodecSettings, Stage, fetch, one_hot_side, resolve_precision

__all__ = ["LatentHeatmapRegressor"]

_TRUNK = {True: "resnet50", False: "resnet10"}
_WIDTHS = {"pyramid": 96, "paper": 256}


class LatentHeatmapRegressor(PoseEstimator):
    """Absolute 3D hand pose from one colour picture and its camera, through 2.5D heatmaps.

    A network answers with 2.5D poses: each joint's place in the picture, and its depth relative to the root
    in lengths of one bone. Both are read off heatmaps that are learned without hand-made targets. The root's
    depth then follows from the bone's length and the camera, and the hand's size from mean bone lengths, in
    closed form (Iqbal et al. 2018). Rows with keypoints but without a pose train too.

    Parameters
    ----------
    network : {"pyramid", "paper"}, default="pyramid"
        What makes the maps. "pyramid": one of torchvision's networks and a light feature pyramid, up to maps
        of a quarter of the picture's size; 128 px suit it. "paper": the paper's encoder-decoder, whose maps
        have the picture's size; it takes some hundred times as long.
    heatmap : {"latent", "direct", "holistic"}, default="latent"
        "latent": spatial softmax with a learnable factor a joint, soft-argmax, depth as the sum over the
        product with the depth map (Sec. 4.2). "direct": Gaussian target maps, argmax (Sec. 4.1).
        "holistic": the 2.5D pose regressed by a ResNet, whatever ``network``.
    width : int or None, default=None
        Channels of the pyramid, or of every convolution of the paper's encoder-decoder; None is 96, and 256.
        A holistic head has none.
    n_stacks : int, default=1
        Encoder-decoders of the paper's network one after the other, each with the loss at its end; the paper
        compares with others with 2.
    fast : bool, default=False
        The small encoder-decoder of the paper: ``width // 2`` channels, and the last three 7 x 7 convolutions
        as 1 x 1, 3 x 3 and 1 x 1.
    backbone : str or None, default=None
        One of torchvision's networks by name: for a pyramid a ResNet, RegNet or MobileNet (None is
        "resnet10"), for a holistic head a ResNet, or "small" for small pictures (None is "resnet50").
    alpha : float, default=0.3
        Weight of the depth's loss (Eq. 8).
    beta : float, default=5.0
        Start of the latent head's learnable factors.
    sigma : float, default=4.0
        Standard deviation of the direct head's target maps, px. A sixteenth of the picture is a good one: 4
        at 64 px, 8 at the paper's 128.
    bone : tuple of two str, default=("index_mcp", "wrist")
        Joint names, or "palm": their distance is the unit of depth (C = 1).
    root : str or int, default="palm"
        The joint that depths are relative to: a joint's name or index, or "palm".
    given : tuple of str, default=()
        What is given to the model in addition to X, any of "root" (T), "scale" (S) and "side" (H). With
        "root", the root's depth is that of X's column ``root``, and predictions are root-relative where X has
        none; with "scale", the bone's length follows from X's column ``scale``; keypoints, heatmaps and
        features need neither. Neither changes what is learned. With "side", the network is given X's column
        ``side``.
    mirror_left : bool, default=False
        Whether left hands are mirrored on their way into the network, and its answers on their way out, so
        that it knows right hands only. X's column ``side`` tells; without it all hands are right ones.
    mean_bones : array-like of shape (20,) or None, default=None
        Mean bone lengths for the scale (Eq. 7), mm, in the order of `skhand.skeleton.BONES`; None learns them
        from y.
    camera : array-like of shape (3, 3) or None, default=None
        Intrinsics of all pictures, px, where X has no column ``camera``. In that column rows without a pose
        may be NaN: they train and are answered in the picture, but not in 3D.
    lr : float, default=1e-3
        Learning rate of Adam.
    max_epochs : int, default=100
        Passes over the training rows.
    batch_size : int, default=32
        Rows a training step.
    augment : {"auto", "paper", None} or dict, default="auto"
        Augmentation, in batches on the device; see `skhand.training.check_augment` for the names of a dict.
        "auto" and "paper" are rotation within 45 degrees, shift within 0.1, zoom within 0.2 and colour of
        0.3, which is no paper's.
    lr_schedule : {"constant", "cosine"}, default="constant"
        Course of the learning rate within one fit.
    early_stopping : bool, default=False
        Whether to stop when ``valid_epe`` no longer improves, and to bring the best weights back.
    validation_fraction : float, default=0.1
        Share of the rows with a pose that is set aside, at random, for early stopping, where ``fit`` gets no
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
        Whether ``fit`` goes on from the weights of the last fit, with a new optimiser. Mean bones are learned
        anew.
    device : str, default="auto"
        "auto" is a GPU if there is one.
    precision : {"auto", "float32", "bfloat16"}, default="auto"
        Precision of the training's matrix products; "auto" is bfloat16 where the hardware has it.
    predict_precision : {"float32", "bfloat16"}, default="float32"
        Precision of the predictions' matrix products. On generated hands of 64 px bfloat16 moved joints by
        0.15 mm on average, one in a hundred by more than 0.6 mm, and the mean error by less than 0.01 mm.
    n_turns : int, default=1
        How many copies of a picture, turned 15 degrees apart, are answered and averaged (test-time
        augmentation), up to 24. With 3, the errors of the weights of `from_pretrained` are 4% lower, in three
        times the time. Heatmaps and features are those of the picture itself.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffles and augmentation. The global random state is left alone.
    verbose : bool, default=False
        Whether to print one line an epoch: its number in the stage, losses, seconds and the time left.

    Attributes
    ----------
    module_ : Pose25DNet
        The network, in evaluation mode. Predictions take a folded copy of it, made anew where a weight has
        changed; a change through a weight's ``data`` goes unnoticed, one under ``torch.no_grad()`` does not.
    n_parameters_ : int
        Number of its weights.
    history_ : dict of str to list
        One entry an epoch: ``train_loss``, ``xy`` and ``depth`` (weighted, summed over the stacks),
        ``depth_gradient`` (norm of the depth's gradient at the last layer over that of the places', in the
        epoch's first batch), ``seconds``, and with validation data ``valid_epe``: the median over rows of the
        joints' mean error relative to the root, mm. The root's depth magnifies the error of one bone, so that
        absolute errors rise and fall while all that is learned improves; score those by `skhand.metrics`.
    mean_bones_ : ndarray of shape (20,), mm
        Mean bone lengths.
    n_ambiguous_ : int
        Training rows whose true 2.5D pose has two root depths before the camera; the larger one is taken.
        `predict_25d` says of which predictions the same holds, and which were clamped.
    root_depth_ : float
        Median root depth of the training rows, in bones. Where none fits before the camera, this is the
        depth of the root or, where joints lie before it, of the nearest of them.
    scale_ratio_ : float
        Length of the bone in units of X's column ``scale``: 1 where it is the bone's own.
    n_iter_ : int
        Number of epochs trained so far.
    interrupted_ : bool
        Whether the last training ended before its time: by Ctrl-C, or because a loss diverged.
    device_ : torch.device
        Where the network is.
    n_features_in_ : int
        Product of the shape of one picture.
    input_shape_, y_shape_ : tuple of int
        Shape of one picture and of one row of y.

    See Also
    --------
    skhand.preprocessing.HandCropper : Crops, from the boxes of any number of hands a picture.
    skhand.geometry.decode_25d : The root's depth in closed form.

    Notes
    -----
    The paper's are the 2.5D pose and its way to an absolute one, the three heads, the loss (Eq. 8), and with
    ``network="paper"`` the encoder-decoder. Ours are the pyramid, which is the default, ``mirror_left``, the
    weights of `from_pretrained`, and what the paper leaves open.

    **The pyramid.** ``backbone`` without its classifier; "resnet10" is torchvision's ResNet with one block a
    level. Its maps of four or five sizes get ``width`` channels each by a 1 x 1 convolution and are added,
    doubled, from the smallest one up to a quarter of the picture, with a 3 x 3 convolution after each sum (as
    in feature pyramid networks, Lin et al. 2017). Heads and losses read its maps as they read the paper's; a
    map's pixel stands at the middle of the 4 x 4 that it covers, and ``sigma`` is in px of the picture.

    **The paper's network.** The paper's networks (17 M and 35 M weights with one and two stacks) have
    16 991 039 and 34 071 422 here. The fast one has 3 147 967, 5.4 times fewer; the paper's has 3.8 times
    fewer. A head that is wide enough for 3.8 costs more than the speed that the paper reports allows. The
    paper's appendix is not at hand. Choices: six resolutions with one 3 x 3 convolution each on the way
    down and up, one more at the smallest, batch normalisation, skip connections that are concatenated and
    bilinear doubling; later stacks read the maps of the one before as they are.

    **Both.** Choices where the paper leaves them open: losses are mean absolute
    errors in widths of the picture and in bones (better than squared ones), and squared ones for Gaussian
    maps; ``alpha``, ``beta`` and ``sigma`` (chosen with the loss on held-out subjects of generated hands of
    32 px); Adam, ``lr`` and the augmentation (not searched). Of the 21 joints the wrist stands for the palm
    that the bone starts from. Of two root depths before the camera the larger one is taken, as in the paper.

    References
    ----------
    .. [1] U. Iqbal, P. Molchanov, T. Breuel, J. Gall, J. Kautz. Hand Pose Estimation via Latent 2.5D Heatmap
       Regression. ECCV 2018.

    Examples
    --------
    >>> from skhand.datasets import make_hands
    >>> from skhand.estimators import LatentHeatmapRegressor
    >>> hands = make_hands(32, image_size=32, random_state=0)
    >>> est = LatentHeatmapRegressor(backbone="mobilenet_v3_small", max_epochs=1, random_state=0)
    >>> est.fit(hands.data, hands.target).predict(hands.data).shape
    (32, 21, 3)
    >>> est.predict_keypoints(hands.data).shape
    (32, 21, 2)
    """

    def __init__(
        self,
        *,
        network: str = "pyramid",
        heatmap: str = "latent",
        width: int | None = None,
        n_stacks: int = 1,
        fast: bool = False,
        backbone: str | None = None,
        alpha: float = 0.3,
        beta: float = 5.0,
        sigma: float = 4.0,
        bone: tuple[str, str] = ("index_mcp", "wrist"),
        root: str | int = "palm",
        given: tuple[str, ...] = (),
        mirror_left: bool = False,
        mean_bones: Any = None,
        camera: Any = None,
        lr: float = 1e-3,
        max_epochs: int = 100,
        batch_size: int = 32,
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
        n_turns: int = 1,
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.network = network
        self.heatmap = heatmap
        self.width = width
        self.n_stacks = n_stacks
        self.fast = fast
        self.backbone = backbone
        self.alpha = alpha
        self.beta = beta
        self.sigma = sigma
        self.bone = bone
        self.root = root
        self.given = given
        self.mirror_left = mirror_left
        self.mean_bones = mean_bones
        self.camera = camera
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
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
        self.n_turns = n_turns
        self.random_state = random_state
        self.verbose = verbose

    @classmethod
    def from_pretrained(cls, path: Any = None, **params: Any) -> Self:
        """Return an estimator that is fitted already: on generated hands, by ``examples/train_weights.py``.

        It takes pictures of one hand, 128 x 128 px, as `skhand.preprocessing.HandCropper` cuts them out, of
        either side: X's column ``side`` tells which, and without it all hands are right ones. Absolute poses
        need the camera; places in the picture do not.

        Parameters
        ----------
        path : str, path or None, default=None
            A ``.safetensors`` file with its JSON file beside it; None is the one that is shipped.
        **params : dict
            Parameters, such as ``given``, ``lr`` and ``max_epochs``. ``warm_start`` is True unless it is
            among them, so that ``fit`` goes on from these weights. What the network depends on is the file's.

        Returns
        -------
        estimator : LatentHeatmapRegressor
            With the attribute ``card_``, a dict: what the JSON file says of training and scores.

        Raises
        ------
        DataFileError
            If there is no such file, or it holds something else.
        InputError
            If ``given`` has "side", or a parameter that decides about the network is not the file's.

        Examples
        --------
        >>> from skhand.datasets import make_hands
        >>> from skhand.estimators import LatentHeatmapRegressor
        >>> hands = make_hands(4, random_state=0)
        >>> LatentHeatmapRegressor.from_pretrained().predict_keypoints(hands.data).shape
        (4, 21, 2)
        """
        optional(check_file)(path, "path")
        estimator = cls(**{"warm_start": True, **params})
        estimator._check_parameters(params)
        estimator.card_ = read_pretrained(estimator, HANDS if path is None else path)
        check_agreement(estimator, params)
        return estimator

    def predict(self, X: Any, return_std: bool = False, target: str | None = None) -> Any:
        """Predict absolute poses.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``.
        return_std : bool, default=False
            Whether to return the standard deviation that the heatmaps' spread gives too, root depth and scale
            taken as known; calibrated if `calibrate_std` was called.
        target : {"pose3d", "keypoints2d"} or None, default=None
            "keypoints2d" is `predict_keypoints`, which a pipeline reaches by this keyword:
            ``pipe.predict(X, target="keypoints2d")``. None is "pose3d".

        Returns
        -------
        y : ndarray of shape (n, 21, 3) or (n, 63), mm
            In the original camera frame. With "root" given, relative to the root where X has no ``root``.
        std : ndarray like y, mm
            Only if ``return_std`` is True.

        Raises
        ------
        InputError
            If X does not fit what was fitted, a row has no camera or lacks what was given, or spread is asked
            of a holistic head or of keypoints.
        """
        check_bool(return_std, "return_std")
        if check_option(target, "target", (None, "pose3d", "keypoints2d")) == "keypoints2d":
            if return_std:
                raise InputError("return_std: expected False for target='keypoints2d', got True.")
            return self.predict_keypoints(X)
        columns = self._read(X)
        if return_std:
            self._require_maps("return_std")
        rows = np.arange(len(columns["rgb"]))
        points, *covariance = self._points(columns, rows, spread=return_std)
        placed = self._place(points, columns)
        joints = placed.joints if "root" in columns else self._rooted(placed.joints)
        y = to_original_frame(joints, "pose3d", columns).reshape(-1, *self.y_shape_)
        if not return_std:
            return y
        std = propagated_std(placed, covariance[0], columns).reshape(-1, *self.y_shape_)
        return y, self._calibrated(std)

    def predict_keypoints(self, X: Any) -> np.ndarray:
        """Predict joints in the picture.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``; no camera is needed.

        Returns
        -------
        keypoints : ndarray of shape (n, 21, 2), px
            In the original picture, where X's column ``affine`` tells the way back to it.
        """
        columns = self._read(X)
        points = self._points(columns, np.arange(len(columns["rgb"])))[0]
        return to_original_frame(points[..., :2], "keypoints2d", columns)

    def predict_25d(self, X: Any) -> Pose25DPrediction:
        """Predict 2.5D poses, and how they become absolute.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``.

        Returns
        -------
        predicted : tuple of ndarray
            ``points`` (n, 21, 3): u, v in px of X's pictures, and relative depth in bones. ``scale`` and
            ``root_depth`` (n,), mm. ``joints`` (n, 21, 3), mm, in the frame of X's pictures' cameras.
            ``clamped`` and ``ambiguous`` (n,), bool: rows whose root depth is a makeshift, and rows of which
            two fit; their counts are ``clamped.sum()`` and ``ambiguous.sum()``.
        """
        columns = self._read(X)
        return self._place(self._points(columns, np.arange(len(columns["rgb"])))[0], columns)

    def predict_heatmaps(self, X: Any) -> Heatmaps:
        """Return the 2.5D heatmaps of the last stack.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``, as many as fit into memory.

        Returns
        -------
        maps : tuple of ndarray
            ``joints`` and ``depths``, each (n, 21, height, width), float32: where each joint is, and its
            depth (bones) times that. The paper's network has maps of the picture's size, a pyramid of a
            quarter of it.

        Raises
        ------
        InputError
            If the head is holistic, which has none.
        """
        columns = self._read(X)
        self._require_maps("heatmap")

        def read(answer: Maps25D, _: Any) -> Any:
            return answer.heatmaps, answer.depth_maps

        return Heatmaps(*self._apply(columns, np.arange(len(columns["rgb"])), read))

    def transform(self, X: Any) -> np.ndarray:
        """Embed rows: the features of the smallest resolution, averaged over the picture.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``.

        Returns
        -------
        Z : ndarray of shape (n, n_features), float32
            ``width`` features of the paper's network, half as many of its fast one; else the trunk's.
        """
        columns = self._read(X)
        rows = np.arange(len(columns["rgb"]))
        return self._apply(columns, rows, lambda _, features: (features,))[0]

    def score(self, X: Any, y: Any) -> float:
        """Return the coefficient of determination of the predictions of y.

        Poses are compared relative to the root where it is given, coordinates weigh by their variance, and
        unknown ones (NaN) are left out. See `skhand.metrics` for errors in mm.

        Parameters
        ----------
        X, y : array-like
            Rows as in ``fit``.

        Returns
        -------
        r2 : float
        """
        predicted = self.predict(X)
        y = read_target(y, len(predicted))
        if y.shape[1:] != self.y_shape_:
            raise InputError(f"y: expected targets of shape {self.y_shape_} as fitted, got {y.shape[1:]}.")
        rooted = [self._rooted(part.reshape(-1, len(JOINTS), 3)) for part in (y, predicted)]
        return variance_weighted_r2(*(part.reshape(len(y), -1) for part in rooted))

    # ------------------------------------------------------------------ inside

    def _read(self, X: Any) -> dict[str, Any]:
        """Check X against what was fitted; return its columns."""
        check_is_fitted(self)
        return self._reader(True).read_rows(X, "rgb", "keypoints2d")

    def _require_maps(self, name: str) -> None:
        check_option(self.module_.heatmap, name, ("latent", "direct"))

    @property
    def _n_features_out(self) -> int:
        return self.module_.n_features

    # ------------------------------------------------------------------ training

    _paper_augment = AUGMENT
    _augments_as_paper = True
    _reader_type = HeatmapReader
    _main_term = "the places"

    _checks: ClassVar[Mapping[str, Check]] = {
        **PoseEstimator._checks,
        "alpha": number(low=0),
        "backbone": optional(one_of(*dict.fromkeys((*TRUNKS, *BACKBONES)))),
        "beta": number(low=0, include_low=False),
        "bone": check_bone,
        "camera": CAMERA,
        "fast": check_bool,
        "heatmap": one_of(*HEATMAPS),
        "mean_bones": optional(check_bones),
        "mirror_left": check_bool,
        "n_stacks": width(100),
        "n_turns": number(integer=True, low=1, high=24),
        "network": one_of(*NETWORKS),
        "sigma": number(low=0, include_low=False),
        "width": optional(width()),
    }
    _checked_to_predict = (*PoseEstimator._checked_to_predict, "camera", "n_turns")

    def _validate_parameters(self) -> Any:
        augment = super()._validate_parameters()
        root_position(np.zeros((1, len(JOINTS), 3)), self.root)
        if self.backbone is not None:
            check_option(self.backbone, "backbone", self._backbones())
        if self.network == "pyramid" and self.heatmap != "holistic":
            for name, only in (("n_stacks", 1), ("fast", False)):
                if getattr(self, name) != only:
                    raise InputError(
                        f"{name}: expected {only} with network='pyramid', which has no encoder-decoders, "
                        f"got {getattr(self, name)!r}; network='paper' takes it."
                    )
        return augment

    def _backbones(self) -> tuple[str, ...]:
        """Names that ``backbone`` may have; the paper's network has none, and takes any."""
        if self.heatmap == "holistic":
            return BACKBONES
        return TRUNKS if self.network == "pyramid" else (*TRUNKS, "small")

    def _pairs(self, source: str) -> list[tuple[str, str]]:
        return [("rgb", "pose3d")]

    def _settle(self, data: TrainingData, goes_on: bool) -> None:
        """Set what the depths are measured in."""
        if not goes_on:
            self.bone_: tuple[str, str] = (self.bone[0], self.bone[1])

    def _start(self, run: Run) -> None:
        """Learn mean bones, the scale column's meaning and a typical root depth from the training rows."""
        if not run.goes_on:
            self.architecture_ = self._architecture()
            self.codecs_ = {"rgb": MODALITIES["rgb"].fit_codec({}, run.data.rows, CodecSettings())}
        if run.goes_on and run.one_epoch:
            return
        columns, rows = run.data.columns, run.data.rows
        names = ["pose3d", "camera", "relative_depth", *self._given_columns(columns)]
        some = {name: np.asarray(columns[name])[rows] for name in names if columns[name] is not None}
        bones = mean_bone_lengths(some["pose3d"]) if self.mean_bones is None else self.mean_bones
        self.mean_bones_ = np.array(bones, dtype=np.float64)
        self.root_depth_, self.n_ambiguous_ = root_depth_prior(some, self.root_, self.bone_)
        self.scale_ratio_ = scale_ratio(some, self.bone_) if "scale" in self.given_ else 1.0
        if abs(self.scale_ratio_ - 1) > 0.01:
            warn_user(
                f"scale: X's column is not the length of bone={self.bone_!r}, which is "
                f"{self.scale_ratio_:.3g} times as long (median); predictions take this for every hand.",
                TrainingWarning,
            )
        off = root_distance(some, self.root_) if "root" in some else 0.0
        if off > 1:
            warn_user(
                f"root: X's column is not the position of root={self.root_!r} in y, but {off:.3g} mm from it "
                "(median); predictions take its depth for that root's.",
                TrainingWarning,
            )

    def _architecture(self) -> dict[str, Any]:
        holistic = self.heatmap == "holistic"
        named = {name: getattr(self, name) for name in ("network", "heatmap", "n_stacks", "fast")}
        width = _WIDTHS[self.network] if self.width is None else self.width
        return {**named, "width": width, "backbone": self.backbone or _TRUNK[holistic]}

    def _fitted_and_wanted(self) -> tuple[dict[str, Any], dict[str, Any]]:
        fitted, wanted = super()._fitted_and_wanted()
        return {**fitted, "bone": self.bone_}, {**wanted, "bone": tuple(self.bone)}

    def _build_module(self, pretrained: str | bool) -> Pose25DNet:
        size = (self.input_shape_[0], self.input_shape_[1])
        made = dict(self.architecture_)
        return Pose25DNet(
            made.pop("heatmap"), len(JOINTS), size, beta=self.beta, side="side" in self.given_, **made
        )

    def _set_aside(self, data: TrainingData) -> TrainingData:
        measured = self._reader(False)._find_measured(data.columns, data.described)
        return data.set_aside(np.intersect1d(measured, data.rows), self.validation_fraction, self._split_seed)

    def _enter_stage(self, name: str | None, n_epochs: int, n_done: int, run: Run) -> Stage:
        objective = HeatmapObjective(
            self.alpha,
            self.sigma,
            self.mirror_left,
            codecs=self.codecs_,
            augment=run.augment,
            use_side="side" in self.given_,
            dtype=run.dtype,
        )
        falls = self.lr_schedule == "cosine" and not run.one_epoch
        return Stage(
            objective,
            {"hands": run.data.rows},
            self.lr,
            self.batch_size,
            n_epochs,
            descent=(n_epochs, 0) if falls else None,
        )

    def _predict_rows(self, columns: dict[str, Any], rows: np.ndarray) -> Any:
        return self._apply(columns, rows, lambda answer, _: (answer.points,))  # one copy, as in training

    def _error(self, columns: dict[str, Any], rows: np.ndarray) -> float:
        """Median over rows of the joints' mean error relative to the root, mm.

        The root's depth magnifies the error of one bone: absolute errors rise and fall while all that is
        learned improves. And a few rows would decide a mean.
        """
        some = {name: np.asarray(columns[name])[rows] for name in ["camera", *self._given_columns(columns)]}
        joints = self._place(self._points(columns, rows)[0], some).joints
        found, true = (
            poses - root_position(poses, self.root_)[:, None] for poses in (joints, columns["pose3d"][rows])
        )
        off = np.linalg.norm(found - true, axis=2)
        return float(np.median(np.nanmean(off[np.isfinite(off).any(axis=1)], axis=1)))

    def _weights_of_terms(self) -> list[tuple[str, str, float, str]]:
        return [("depth_gradient", "alpha", self.alpha, "the depths' loss")]

    # ------------------------------------------------------------------ prediction

    def _apply(
        self, columns: dict[str, Any], rows: np.ndarray, function: Callable[..., Any], n_turns: int = 1
    ) -> list[np.ndarray]:
        """Call a function on the network's last answer and features of rows, or of turned copies of them."""
        mirrors = self.mirror_left and not np.all(columns.get("side", 1))  # 1 is right
        names = ["rgb", *(["side"] if "side" in self.given_ or mirrors else [])]
        dtype = resolve_precision(self.predict_precision, self.device_, "predict_precision")
        packed = self.device_.type == "cpu" and not self._computes_apart(dtype)
        with self._turn():
            module = fold_once(self.module_, self._memory_format, dtype, "body" if packed else None)

        def read(part: np.ndarray) -> Any:
            return fetch(columns, names, part, self.device_)

        def compute(batch: Any) -> Any:
            side = one_hot_side(batch) if "side" in self.given_ else None
            left = is_left(batch) if mirrors else None
            pictures = self.codecs_["rgb"].encode(batch)
            if n_turns == 1:
                answers, features = module(pictures, side, left)
                return function(answers[-1], features)
            copies, back = turn_pictures(pictures, n_turns)
            side, left = (
                None if each is None else each.repeat_interleave(n_turns, 0) for each in (side, left)
            )
            answers, features = module(copies, side, left)
            return average_answers(function(answers[-1], features), back)

        return self._in_chunks(rows, read, compute, True)

    def _chunk_size(self, is_image: bool) -> int:
        return max(1, super()._chunk_size(is_image) // self.n_turns)

    def _points(self, columns: dict[str, Any], rows: np.ndarray, spread: bool = False) -> list[np.ndarray]:
        """2.5D poses (n, 21, 3) and, with ``spread``, the covariance (n, 21, 3, 3) of their maps, float64."""
        latent = self.module_.heatmap == "latent"

        def read(answer: Maps25D, _: Any) -> Any:
            size = (self.input_shape_[0], self.input_shape_[1])
            return (answer.points, map_spread(answer, latent, size)) if spread else (answer.points,)

        return [array.astype(np.float64) for array in self._apply(columns, rows, read, self.n_turns)]

    def _given_columns(self, columns: dict[str, Any]) -> list[str]:
        """Return which of the columns that place a hand are given and there."""
        return [name for name in ("root", "scale") if name in self.given_ and name in columns]

    def _place(self, points: np.ndarray, columns: dict[str, Any]) -> Pose25DPrediction:
        """Absolute poses in the rows' own frames."""
        scale = root_depth = None
        if "scale" in self.given_:
            require_given(columns, ("scale",))
            scale = np.asarray(columns["scale"], dtype=np.float64) * self.scale_ratio_
        if "root" in self.given_ and "root" in columns:
            root_depth = np.asarray(columns["root"], dtype=np.float64)[:, 2]
            if not ((root_depth > 0) & np.isfinite(root_depth)).all():
                raise SideInformationError(
                    "X: given 'root' needs positions (mm) before the camera in the column root."
                )
        return recover_poses(
            points,
            require_camera(columns),
            self.mean_bones_,
            self.root_depth_,
            bone=self.bone_,
            scale=scale,
            root_depth=root_depth,
        )
