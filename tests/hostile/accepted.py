"""Hostile values that an argument may take all the same."""

from __future__ import annotations

from fnmatch import fnmatch

_TEXTS = ("'abc'", "''", "'3'", "'1e400'")

# kind of argument -> hostile values that are right for it
KINDS: dict[str, tuple[str, ...]] = {
    "one of a few": (),
    "flag": ("True", "False"),
    "number": ("-1", "0", "3.5", "10**30"),
    "number, or one a row": ("-1", "0", "3.5", "10**30", "[]", "()", "empty array", "no row"),
    "number from 0": ("0", "3.5", "10**30"),
    "number above 0": ("3.5", "10**30"),
    "share": ("0",),
    "angle": ("-1", "0", "3.5"),
    "angle of view": ("3.5",),
    "count": ("10**30", "10**400"),
    "count from 0": ("0", "10**30", "10**400"),
    "small count": (),
    "small count from 0": ("0",),
    "seed": ("None", "0", "10**30", "10**400"),
    "row": ("0",),
    "row from the end": ("0", "-1"),
    "row or None": ("0", "None"),
    "rows": ("0", "-1", "[]", "()", "empty array", "no row", "one axis less"),
    "rows of hands": (
        *("0", "-1", "[]", "()", "empty array", "no row", "one axis less"),
        *("one row", "one row more", "list of bools"),  # a mask of the two hands
    ),
    "text": _TEXTS,
    "text or None": (*_TEXTS, "None"),
    "path": ("'abc'", "'3'", "'1e400'", "missing path", "None"),
    "several": ("[]", "()", "None", "{}"),
    "None": ("None",),
    "augmentation": ("None", "{}"),
    "number above 0, or by stage": ("3.5", "10**30", "{}"),
    "count, or by stage": ("10**30", "10**400", "{}"),
    "anything": ("*",),
    "length": (
        *("as texts", "texts 'False'", "complex", "ragged", "one inf", "one -inf", "list of None"),
        *("last axis shorter", "last axis longer", "last axis empty"),
    ),
    "pictures": (
        *("one row", "one row more", "one axis less", "one axis more", "no row"),
        *("last axis longer", "as a list", "as int8", "as int64", "as float64"),
    ),
    "video": (
        *("one row", "one row more", "one axis less", "no row", "last axis longer"),
        *("[]", "()", "{}", "empty array", "array (0, 3)"),
    ),
    "hands": (
        *("without rgb", "without root", "without domain", "without camera", "without keypoints2d"),
        *("without scale", "without side", "root all 0", "root all -1", "depth all 0", "scale all 0"),
    ),
    "hands that are sampled from": (
        *("one row", "without root", "without domain", "root all 0", "root all -1", "depth all 0"),
    ),
    # a pixel of 0 or -1 is a place like others: at the picture's corner, or just outside
    "hands with keypoints": (
        *("without rgb", "without root", "without domain", "without camera", "without keypoints2d"),
        *("without scale", "without side", "root all 0", "root all -1", "depth all 0", "scale all 0"),
        *("keypoints2d all 0", "keypoints2d all -1"),
    ),
    "flag or count": ("True", "False", "0", "10**30", "10**400"),
    "table": ("table of one row", "table without pictures"),
    "rows that are averaged": ("one row", "one row more", "no row"),
    "names": ("pair of texts",),
    "names of pictures": ("None", "list of texts", "pair of texts"),
    "no number": ("()",),
    # whatever tells groups apart may name them
    "names of groups": ("None", "as texts", "texts 'False'", "complex", "one inf", "one -inf"),
    "no points": ("array (0, 3)",),
    "text of all rows": (*_TEXTS, "0-d text array"),
    "pictures as they are": (
        *("one inf", "one -inf", "one NaN", "all NaN", "one row", "one row more", "no row"),
        *("last axis longer", "last axis shorter", "as a list", "as int8", "as int64", "as float64"),
    ),
    "pictures that are not read": (
        *("one row more", "one inf", "one -inf", "one NaN", "all NaN", "as float64", "table of one row"),
        *("last axis longer", "last axis shorter"),
    ),
    "labels of pixels": (
        *("mask of 2", "mask of -1", "as int8", "as int64"),
        *("last axis longer", "last axis shorter"),
    ),
    "any number of joints": ("last axis shorter", "last axis longer"),
    "any dimensions": ("last axis shorter", "last axis longer"),
    "features": ("last axis shorter", "last axis longer", "last axis empty"),
}  # fmt: skip

# (public names, arguments, kind); the first that fits counts, and "one of a few" where none does
_ARGUMENTS = (
    # not used, as scikit-learn's signatures want it, and documented so
    ("*.preprocessing.*.fit *.HandDetector.fit", "y", "anything"),
    ("*.get_n_splits", "X y groups", "anything"),
    ("*.get_feature_names_out", "input_features", "anything"),
    ("*.split", "y", "anything"),
    # read when it is used, not when it is handed on
    ("*.get_scorer *.make_pose_scorer", "threshold", "anything"),
    # only its length counts
    ("*.split", "X", "length"),
    # numbers
    ("*.affine_rotate *.rotation_z", "degrees", "number, or one a row"),
    # behind the camera, as `project` says of its points
    ("*.backproject", "depth", "number"),
    ("*.rotation_to_axis", "points", "no points"),
    ("*.decode_25d", "scale", "number above 0"),
    ("*.align_scale", "root", "row or None"),
    (
        "*.estimators.* *.preprocessing.* *.align_root *.encode_25d *.decode_25d *.root_position",
        "root",
        "row",
    ),
    ("*", "threshold", "number from 0"),
    ("*", "elev azim", "angle"),
    ("*.make_hands", "rotation", "number from 0"),
    ("*.make_hands", "occluders sleeves strange noise blur motion shape", "number from 0"),
    ("*.HandDetector *.HeatmapDisplay*", "threshold overlap opacity", "share"),
    ("*", "lost_below depth_warm_up", "share"),
    ("*.HandTracker", "fov", "angle of view"),
    ("*.HandTracker", "min_cutoff", "number above 0"),
    ("*.HandTracker *.estimators.*", "beta alpha *_weight", "number from 0"),
    ("*.AlignedLatentRegressor *.SimToRealRegressor", "lr", "number above 0, or by stage"),
    ("*.AlignedLatentRegressor *.SimToRealRegressor", "batch_size max_epochs max_iter", "count, or by stage"),
    ("*.estimators.*", "lr sigma", "number above 0"),
    ("*.estimators.*", "tol", "share"),
    ("*.HandTracker.track", "time", "number"),
    ("*.predict_video", "fps", "number above 0"),
    ("*.Pose25D.inverse_transform *.PoseNormalizer.inverse_transform", "scale", "number above 0"),
    ("*.DepthCropper", "near", "number from 0"),
    ("*", "focal factor near far cube head_length head_size min_size max_size width", "number above 0"),
    ("*", "margin", "number from 0"),
    ("*.DepthCropper", "background", "number"),
    ("*.Protocol", "tip_length", "number above 0"),
    # counts
    (
        "*",
        "size crop_size latent_dim hidden_units batch_size n_iter_no_change"
        " max_hands detect_every max_pixels n_hands n_columns",
        "count",
    ),
    ("*", "n_jobs gap tolerance", "count from 0"),
    ("*", "epoch", "small count from 0"),
    # an index, which a metric that aligns nothing does not use
    ("*.metrics.* *.plotting.*", "root", "row"),
    # "negative ones count from the end"
    ("*.plotting.*", "row", "row from the end"),
    ("*", "row", "row"),
    ("*.Hands.__getitem__", "rows", "rows of hands"),
    ("*", "rows", "rows"),
    ("*", "random_state", "seed"),
    ("*.Hands.draw", "picture", "row"),
    ("*.warp_images", "order", "row"),
    # tables
    ("*.sample_posterior *.interpolate *Display.from_*", "X X_start X_end", "hands that are sampled from"),
    ("*.LatentHeatmapRegressor.partial_fit", "X", "hands with keypoints"),
    ("*.estimators.* *.metrics.*", "X X_val", "hands"),
    # yes or no
    ("*.estimators.*", "verbose", "flag or count"),
    (
        "*",
        "return_X_y lazy endless rotated synthetic scaling shuffle return_std gray orient one_size antialias"
        " flat_poses early_stopping warm_start verbose mirror_left fast greater_is_better connect",
        "flag",
    ),
    ("*.HandCropper", "square", "flag"),
    # texts, paths, lists
    ("*.Evaluation.*", "align", "None"),  # the first alignment of its protocol
    ("*.Protocol", "given", "None"),  # where the paper leaves it open
    ("*.PredictionDisplay", "y_true", "None"),
    ("*.Layout", "joints", "names"),
    ("*.Protocol", "n_frames", "no number"),
    # matplotlib's own, handed on
    ("*Display*", "color", "None"),
    # "None where the truth is not known"
    ("*.SkeletonDisplay.from_predictions", "y_true", "None"),
    ("*", "cache checkpoint", "path"),
    ("*.verify *.load_*", "data_dir", "one of a few"),
    ("*.datasets.save_*", "data_dir", "path"),
    ("*.save_folder", "groups", "names of groups"),
    ("*.Protocol *.Layout", "name dataset source note unit", "text"),
    ("*Display*", "name", "text or None"),
    ("*Display*", "unit", "text"),
    ("*.to_json *.to_csv", "path", "path"),
    ("*.Hands.to_csv *.Hands.to_json", "names", "names of pictures"),
    ("*.estimators.* *.make_hands *.evaluate *.evaluate_predictions", "callbacks given images", "several"),
    ("*.mean_bone_lengths", "joints", "rows that are averaged"),
    ("*.align_root *.bone_length *.bone_lengths *.root_position *.convert", "joints", "any dimensions"),
    ("*.PoseNormalizer *.CanonicalPose", "scale_bone", "None"),
    ("*.make_hands", "backgrounds", "None"),
    ("*.estimators.*", "augment", "augmentation"),
    ("*.EndlessHands.replace", "side", "text or None"),
    # NaN and infinity spread, and there may be any number of channels, as the docstring says
    ("*.warp_images", "images", "pictures as they are"),
    ("*.warp_images *.draw_hand *.HeatmapDisplay", "images picture", "pictures"),
    ("*.HandTracker.* *.HandDetector.*", "X pictures frame", "pictures"),
    ("*.predict_video", "frames", "video"),
    # only "standard" reads the pictures in fit, and the docstring says so
    ("*.HeatmapDisplay*", "heatmaps", "any dimensions"),
    ("*.ImageNormalizer.fit", "X", "pictures that are not read"),
    # rows without affine and rotation come back as they are, as the docstring says
    ("*.preprocessing.*.inverse_transform", "X", "table"),
    ("*.preprocessing.*.fit *.HandMirror.*", "X", "table"),
    # integers are the hand where they are not 0; pictures of two sizes are refused by what uses both
    ("*.HandFrames", "mask", "labels of pixels"),
    # pictures are looked at when they are read: estimators refuse infinity, a crop leaves it out as too far
    ("*.HandFrames", "rgb depth", "pictures that are not read"),
    # of how many joints is only known to what uses them
    ("*.HandFrames", "visible", "any number of joints"),
    ("*.HandFrames", "domain", "text of all rows"),
    ("*.HandFrames.replace", "pose3d", "None"),  # it takes a column away
    ("*.HandFrames", "table", "features"),
)

# (public names, arguments) whose NaN means "not known", as their docstrings say
_UNKNOWN = (
    ("*.geometry.*", "joints points pixels depth y_true y_pred degrees centre mean_bones scale"),
    ("*.transform_camera", "camera"),
    ("*.apply_affine", "affine"),
    ("*.HandFrames*", "depth keypoints2d pose3d table camera scale root box affine rotation score"),
    ("*.head_box", "centre"),
    ("*.save_folder", "target"),
    ("*.PoseNormalizer.inverse_transform *.Pose25D.inverse_transform", "root scale"),
    ("*.metrics.*", "y_true y"),
    ("*.estimators.*", "y y_val"),
    ("*Display*", "y_true y X X_a X_b"),
    ("*.PredictionDisplay*", "y_pred keypoints_true keypoints_pred errors"),
    ("*.SkeletonDisplay*", "y_pred samples"),
    ("*.JointErrorDisplay", "errors"),
    ("*.draw_hand", "hand"),
    ("*.preprocessing.*", "X"),
    ("*.skeleton.*", "joints"),
)


def kind_of(name: str, argument: str) -> str:
    """Return the kind of an argument."""
    return next(
        (kind for names, arguments, kind in _ARGUMENTS if _fits(name, names) and _fits(argument, arguments)),
        "one of a few",
    )


def is_accepted(name: str, argument: str, value: str) -> bool:
    """Tell whether the hostile value is right for the argument."""
    accepted = KINDS[kind_of(name, argument)]
    return "*" in accepted or {"0-d array": "3.5"}.get(value, value) in accepted


def takes_unknown(name: str, argument: str) -> bool:
    """Tell whether NaN in the argument is documented to stand for what is not known."""
    return any(_fits(name, names) and _fits(argument, arguments) for names, arguments in _UNKNOWN)


def _fits(text: str, patterns: str) -> bool:
    return any(fnmatch(text, pattern) for pattern in patterns.split())


# (public names, arguments, values, why the error does not name the argument)
_UNNAMED: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("*.Protocol", "joints", ("pair of texts",), "they lack the root: either may be the wrong one"),
)


def why_unnamed(name: str, argument: str, value: str) -> str | None:
    """Why an error may leave the argument's name out; None if it may not."""
    return next(
        (
            why
            for names, arguments, values, why in _UNNAMED
            if _fits(name, names) and _fits(argument, arguments) and (value in values or values == ("*",))
        ),
        None,
    )
