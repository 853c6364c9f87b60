"""AlignedLatentRegressor: disentangle, align, refine, after Stergioulas et al. 2021."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skhand._validation import check_option
from skhand.estimators._aligned_training import StagedPoseEstimator
from skhand.exceptions import InputError
from skhand.training import one_hot_side

__all__ = ["AlignedLatentRegressor"]

_SPACES = ("rgb", "pose", "context", "aligned")


class AlignedLatentRegressor(StagedPoseEstimator):
    """3D hand pose in stages: disentangle, align, refine.

    An encoder of X and an encoder of poses, each with its decoder to poses, are trained first; a
    discriminator makes the pose-specific part of X's latent vector look like the latent vector of a pose
    ("disentangle"). Two mappers then bring both latent spaces to one that a shared decoder reads, first with
    frozen encoders ("align") and then with all weights ("finetune"). Last, losses on bones and on distances
    between joints and lines make the predictions hand-like ("refine"). The decoders inject the latent vector
    into every layer (Stergioulas et al. 2021).

    Parameters
    ----------
    latent_dim : int, default=64
        Size of the pose-specific part of X's latent vector and of the pose encoder's; and of the aligned
        one, unless all of X's latent vector is decoded (see ``decoded``), which is then as long as that.
    context_dim : int, default=64
        Size of the other part of X's latent vector.
    stages : "auto" or tuple of str, default="auto"
        What is trained: "vae" (both autoencoders) or "disentangle" (with the discriminator), and then any of
        "align", "finetune" and "refine", in this order. "auto" is ("disentangle", "align", "finetune",
        "refine"), without "refine" where y does not have the 21 joints. The rows of the paper's tables are
        in the notes.
    decoder : {"injection", "plain"}, default="injection"
        Whether the latent vector is injected into every layer of the decoders, or is their input only.
    decoded : {"pose", "concat"}, default="pose"
        What is decoded of X's latent vector after "disentangle": the pose-specific part, or all of it. After
        "vae" it is all of it.
    beta : float, default=1e-5
        Weight of every KL term: nats, summed over the latent dimensions and averaged over the batch, against
        an MSE that is the mean over batch and coordinates of the standardised target.
    adversarial_weight : float, default=1e-4
        Weight of the adversarial term of X's encoder in "disentangle". Eq. 4 adds the term as it is, with
        the weight 1. From 1e-3 on, beside an MSE of the standardised target, the latent vectors of pictures
        moved on faster than batch normalisation's running statistics followed.
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
        Trunk of picture encoders: one of torchvision's ResNets, or "small" for small pictures.
    pretrained : bool, default=False
        Whether the trunk starts from torchvision's ImageNet weights, as in the paper (needs a network or a
        cached file).
    hidden_units, n_hidden_layers : int, default=512, 3
        Width and number of the layers of the pose encoder and the decoders, and of the encoder where X is no
        picture; mappers and discriminator have two layers of this width. Not published.
    given : tuple of str, default=()
        What is given to the model beside X, any of "root" (T), "scale" (S) and "side" (H); see
        `CrossModalVAERegressor`. The paper gives all three.
    root : str or int, default="palm"
        The root joint: a joint's name or index, or "palm".
    augment : {"auto", "paper", None} or dict, default="auto"
        Augmentation, in batches on the device; see `skhand.training.check_augment` for the names of a dict.
        "auto" is the paper's for pictures with poses (rotation within 45 degrees, vertical flips), and none
        otherwise.
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
        Precision of the training's matrix products; "auto" is bfloat16 where the hardware has it. Predictions
        are always made in float32.
    random_state : int, RandomState or None, default=None
        Seed of weights, shuffles, augmentation and latent noise. The global random state is left alone.
    verbose : bool, default=False
        Whether to print one line an epoch.

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
        `interpolate` are about: "rgb", and "aligned" from "align" on.
    history_ : dict of str to list
        One column a loss term and one entry an epoch, NaN where the stage has no such term: ``stage``,
        ``train_loss`` (the sum of the terms), ``mse``, ``kl``, ``mse_pose``, ``kl_pose``, ``adversarial``,
        ``discriminator``, ``kcs``, ``geo`` (all weighted, and averaged over all batches of the epoch, also
        those in which it was not their turn), ``seconds``, and ``valid_epe`` (mm) or ``valid_rmse`` with
        validation data. ``<term>_gradient`` is the norm of a weighted term's gradient over that of the
        MSE's, in the epoch's first batch: for ``kl`` and ``adversarial`` that of ``mse``, at X's latent
        distribution (the aligned one from "align" on); for ``kl_pose`` that of ``mse_pose``, at the pose's;
        for ``mse_pose`` that of ``mse``, at the last layer of the decoder that both share from "align" on;
        for ``kcs`` and ``geo`` that of ``mse``, at the predicted pose.
    source_, target_ : str
        Modality of X, and "pose3d".
    latent_mean_, latent_cov_ : ndarray
        Mean and covariance of X's latent samples over the training rows, in ``space_``; `sample` draws from
        them.
    n_iter_ : int
        Number of epochs trained so far, of all stages.
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
    and `HandCropper` the defaults are the paper's, but for ``adversarial_weight``. Without "disentangle" the
    latent vector of X is one, of ``context_dim + latent_dim`` numbers, and so are aligned ones; the poses'
    mapper leads there.

    Choices, where the paper is silent or its print is wrong: y centred and divided by one standard deviation,
    for the MSE; poses in metres for the kinematic losses, which are divided by the square of that deviation
    in metres, so that their weights mean what they mean beside an MSE in metres; all KL terms added; the
    encoder of X minimises the cross entropy of its pose part being taken for a pose's, the discriminator
    Eq. 1, and the pose encoder neither; the decoder ends linear; a mapper reads mean and standard deviation
    and corrects a linear image of the mean; the shared decoder's batch normalisation takes its statistics
    from X alone, and decodes the poses' latent vectors with the running ones; widths and numbers of layers
    and ``adversarial_weight`` (chosen on held-out subjects of generated hands); He's initialisation, and
    distributions that start narrow; unknown coordinates (NaN) of a partly labelled pose enter the pose
    encoder as the mean pose's, and no loss. "refine" has no KL term, as printed, so that ``return_std`` and
    posterior samples grow narrower there.

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
        latent_dim: int = 64,
        context_dim: int = 64,
        stages: Sequence[str] | str = "auto",
        decoder: str = "injection",
        decoded: str = "pose",
        beta: float = 1e-5,
        adversarial_weight: float = 1e-4,
        pose_weight: float = 1e-2,
        kcs_weight: float = 1e-2,
        geo_weight: float = 1e-6,
        lr: float | Mapping[str, float] = 1e-4,
        max_epochs: int | Mapping[str, int] = 100,
        batch_size: int = 64,
        source: str = "auto",
        backbone: str = "resnet18",
        pretrained: bool = False,
        hidden_units: int = 512,
        n_hidden_layers: int = 3,
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
        self.context_dim = context_dim
        self.stages = stages
        self.decoder = decoder
        self.decoded = decoded
        self.beta = beta
        self.adversarial_weight = adversarial_weight
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

    def transform(self, X: Any, source: str | None = None, space: str | None = None) -> np.ndarray:
        """Embed rows: the mean of each row's posterior.

        Parameters
        ----------
        X : HandFrames or array-like
            Rows as in ``fit``; for ``space="pose"`` or ``source="pose3d"`` poses, mm, as an array or the
            column ``pose3d``.
        source : str or None, default=None
            Modality to encode; None is that of X in ``fit``, and "pose3d" for ``space="pose"``.
        space : {"rgb", "context", "pose", "aligned"} or None, default=None
            The latent space; None is the one that predictions are decoded from, ``space_``. "rgb": what is
            decoded of the source's latent vector, be the source pictures, depth, keypoints or a table.
            "context": the rest of it. "pose": the pose encoder's. "aligned": what the mappers make of "rgb"
            or, for ``source="pose3d"``, of "pose".

        Returns
        -------
        Z : ndarray of shape (n, n_latent), float32
            As a table, where ``set_output`` asks for one, its columns bear the name of the space if it is
            not ``space_``.

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
