"""One known good call of everything public, and what else an argument may be."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hostile.world import World
from sklearn import config_context
from smallest import KINDS as ESTIMATORS

from skhand import (
    HandFrames,
    ImageFiles,
    concat_frames,
    datasets,
    geometry,
    metrics,
    persistence,
    plotting,
    preprocessing,
)
from skhand.datasets import make_hands, make_scenes, verify
from skhand.detection import HandDetector
from skhand.metrics import PROTOCOLS, Protocol
from skhand.model_selection import BlockKFold, LabelledKFold
from skhand.skeleton import LAYOUTS, Layout, convert, joint_index, layout_bones, root_position

# what comes out of the library and is not made by a user: no good call, but their methods have one
RESULTS = (
    "skhand.datasets.DatasetReport",
    "skhand.datasets.EndlessHands",
    "skhand.geometry.Decoded25D",
    "skhand.geometry.Encoded25D",
    "skhand.metrics.Evaluation",
    "skhand.tracking.Hands",
)
# what HandFrames calls of its columns
INNER_METHODS = ("skhand.ImageFiles.build", "skhand.ImageFiles.parts", "skhand.ImageFiles.widen")


@dataclass
class Call:
    """A known good call: ``run`` takes all ``good`` arguments by name.

    ``mixes`` says that rows do not stay apart in the result, so that other rows give another result.
    """

    run: Callable[..., Any]
    good: dict[str, Any]
    mixes: bool = False


def calls(w: World) -> dict[str, Callable[[], Call]]:
    """Name of each public function, class and method to what makes its good call."""
    return {
        **_tables(w),
        **_datasets(w),
        **_estimators(w),
        **_geometry(w),
        **_metrics(w),
        **_plotting(w),
        **_preprocessing(w),
        **_tracking(w),
        **_skeleton(w),
        **_newer_displays(w),
        **_features(w),
        **_persistence(w),
        **_folders(w),
    }


def _tables(w: World) -> dict[str, Callable[[], Call]]:
    columns = {
        **{name: np.asarray(getattr(w.frames, name)) for name in w.frames.columns if name != "domain"},
        "pose3d": w.poses,
        "table": w.noise[:, :, 0],
        "camera": w.camera,
        "scale": geometry.bone_length(w.poses),
        "root": w.poses[:, 9],
        "box": np.tile([2.0, 3.0, 8.0, 9.0], (len(w.poses), 1)),
        "affine": np.tile(np.eye(3), (len(w.poses), 1, 1)),
        "rotation": np.tile(np.eye(3), (len(w.poses), 1, 1)),
        "domain": np.array(["real"] * len(w.poses)),
        "picture": np.arange(len(w.poses)),
        "score": np.linspace(0, 1, len(w.poses)),
    }
    picture_files = lambda **good: np.array(ImageFiles(**good)[:])  # noqa: E731
    rows = np.array([0, 2])
    return {
        "skhand.HandFrames": lambda: Call(HandFrames, columns, mixes=True),
        "skhand.HandFrames.__getitem__": lambda: Call(w.frames.__getitem__, {"rows": rows}),
        "skhand.HandFrames.replace": lambda: Call(w.frames.replace, {"pose3d": w.poses}, mixes=True),
        "skhand.ImageFiles": lambda: Call(
            picture_files,
            {"paths": w.files, "gray": False, "reader": None, "orient": True, "max_pixels": 10**6}
            | {"one_size": True},
        ),
        "skhand.ImageFiles.__getitem__": lambda: Call(w.image_files.__getitem__, {"rows": rows}),
        "skhand.concat_frames": lambda: Call(concat_frames, {"frames": [w.frames, w.frames]}),
    }


def _datasets(w: World) -> dict[str, Callable[[], Call]]:
    common = {"layout": "canonical", "bad_rows": "flag", "crop": None, "cache": None, "return_X_y": False}
    own: dict[str, dict[str, Any]] = {
        "dexter_object": {"split": "test", "sequences": ["Grasp1"], "camera": "colour", "axes": "auto"},
        "ego_dexter": {"split": "test", "sequences": ["Desk"], "camera": "colour"},
        "freihand": {"split": "train", "versions": [0]},
        "icvl": {"split": "train", "rotated": False, "sequences": None, "focal": 241.42, "layout": "native"},
        "mpii_nzsl": {"split": "train", "part": "manual", "sets": None, "square": "head", "margin": None}
        | {"crop_size": 32},
        "msra": {"split": "test", "test_subject": 0, "gestures": ["1"]},
        "nyu": {"split": "train", "view": 1, "synthetic": False, "focal": 588.03, "root_joint": "palm"},
        "rhd": {"split": "train", "hand": "larger"},
        "stb": {"split": "test", "camera": "bb", "view": "both", "palm_to_wrist": "ring"},
        "synth_hands": {"camera": "depth", "subjects": None, "objects": None, "sequences": None}
        | {"views": None, "backgrounds": None, "tolerance": 0, "random_state": 0},
    }

    def loader(name: str) -> Callable[[], Call]:
        load = getattr(datasets, f"load_{name}")
        return lambda: Call(load, {"data_dir": w.copy(name), **common, **own[name]}, mixes=True)

    generator = {
        "n_samples": 3, "image_size": 16, "n_subjects": 2, "side": "both", "rotation": 90.0,
        "images": ("rgb", "depth"), "gestures": None, "distance": (300.0, 900.0), "framing": (1.1, 1.9),
        "shape": 1.0, "skin": (0.0, 1.0), "sleeves": 0.5, "light": (0.25, 1.0), "backgrounds": "procedural",
        "occluders": 0.0, "blur": 1.0, "noise": 1.0, "motion": 0.0, "jpeg": None, "strange": 0.0,
        "domain": "synthetic", "sensor": "structured_light", "lazy": False, "endless": False, "device": "cpu",
        "random_state": 0, "return_X_y": False,
    }  # fmt: skip
    scenes = {"n_samples": 1, "image_size": 64, "n_subjects": 1, "device": "cpu", "random_state": 0}
    endless = "skhand.datasets.EndlessHands"
    return {
        **{f"skhand.datasets.load_{name}": loader(name) for name in own},
        "skhand.datasets.make_hands": lambda: Call(make_hands, generator, mixes=True),
        "skhand.datasets.make_scenes": lambda: Call(make_scenes, scenes, mixes=True),
        "skhand.datasets.verify": lambda: Call(verify, {"data_dir": w.copy("icvl"), "dataset": "icvl"}),
        f"{endless}.__getitem__": lambda: Call(w.endless.__getitem__, {"rows": np.array([0, 2])}),
        f"{endless}.at_epoch": lambda: Call(w.endless.at_epoch, {"epoch": 1}),
        f"{endless}.replace": lambda: Call(w.endless.replace, {"side": "left"}),
    }


def _estimators(w: World) -> dict[str, Callable[[], Call]]:
    out: dict[str, Callable[[], Call]] = {}
    for kind in ESTIMATORS:
        out |= _estimator(w, kind)
    return out


def _estimator(w: World, kind: str) -> dict[str, Callable[[], Call]]:
    cls = type(w.unfitted(kind))
    X, y = w.rows(kind), w.y
    name = f"skhand.estimators.{cls.__name__}"

    def construct(**params: Any) -> Any:
        return cls(**params).fit(X, y).predict(X)

    def fit(**data: Any) -> Any:
        return w.unfitted(kind).fit(**data).predict(X)

    def go_on(**data: Any) -> Any:
        return copy.deepcopy(w.fitted(kind)).partial_fit(**data).predict(X)

    def method(method: str, good: dict[str, Any], **options: Any) -> tuple[str, Callable[[], Call]]:
        return f"{name}.{method}", lambda: Call(getattr(w.fitted(kind), method), good, **options)

    def calibrate(**data: Any) -> Any:
        return copy.deepcopy(w.fitted(kind)).calibrate_std(**data).predict(X, return_std=True)

    data, twice = {"X": X, "y": y}, np.tile(np.arange(len(y)), 2)  # 10 rows are the fewest to calibrate on
    modality = {"source": None, "target": None}
    out: dict[str, Callable[[], Call]] = {
        name: lambda: Call(construct, w.unfitted(kind).get_params(), mixes=True),
        f"{name}.fit": lambda: Call(fit, {**data, "X_val": X, "y_val": y}, mixes=True),
        f"{name}.partial_fit": lambda: Call(go_on, data, mixes=True),
        f"{name}.calibrate_std": lambda: Call(calibrate, {"X": X[twice], "y": y[twice]}, mixes=True),
    }
    methods: list[tuple[str, dict[str, Any], dict[str, Any]]] = [("score", data, {"mixes": True})]
    if kind == "heatmap":
        out[f"{name}.from_pretrained"] = lambda: Call(
            lambda **good: cls.from_pretrained(**good).get_params(), {"path": None, "lr": 0.001}
        )
        methods += [("predict", {"X": X, "return_std": False}, {}), ("transform", {"X": X}, {})]
        methods += [(f"predict_{what}", {"X": X}, {}) for what in ("25d", "heatmaps", "keypoints")]
        return {**out, **dict(method(what, good, **options) for what, good, options in methods)}
    seed = {"random_state": 0}
    space = {"aligned": {"space": None}, "sim-to-real": {"space": "pose"}}.get(kind, {})
    latent = np.zeros((2, w.fitted(kind).transform(X[:1]).shape[1]))
    methods += [
        ("predict", {"X": X, "return_std": False, **modality}, {}),
        ("transform", {"X": X, "source": None, **space}, {}),
        ("inverse_transform", {"Z": latent, "target": None}, {}),
        ("interpolate", {"X_start": X[:2], "X_end": X[2:4], "n_steps": 3, **modality}, {"mixes": True}),
        ("sample", {"n_samples": 2, "target": None, **seed}, {}),
        ("sample_posterior", {"X": X[:2], "n_samples": 2, **modality, **seed}, {"mixes": True}),
    ]
    if kind == "aligned":
        methods += [("discriminator_accuracy", data, {"mixes": True})]
    if kind == "sim-to-real":
        methods += [("translate", {"X": X, "to": "real", "source": None}, {})]
    return {**out, **dict(method(what, good, **options) for what, good, options in methods)}


def _geometry(w: World) -> dict[str, Callable[[], Call]]:
    points = geometry.encode_25d(w.poses, w.camera)
    bones = geometry.mean_bone_lengths(w.poses)
    box = np.tile([2.0, 3.0, 8.0, 9.0], (len(w.poses), 1))
    affine = geometry.affine_crop(box, 16)
    turn = geometry.rotation_z(np.linspace(0, 90, len(w.poses)))
    upright = {"root": "palm", "bone": ("index_mcp", "wrist")}
    both = {"y_pred": w.predicted, "y_true": w.poses}
    good: dict[str, dict[str, Any]] = {
        "affine_crop": {"box": box, "size": 16},
        "affine_mirror": {"width": 16},
        "affine_rotate": {"degrees": np.linspace(0, 90, len(w.poses)), "centre": box[:, :2]},
        "align_root": {"joints": w.poses, "root": "palm"},
        "align_scale": {**both, "root": "palm", "bone": None, "mask": w.visible},
        "apply_affine": {"affine": affine, "pixels": w.pixels},
        "backproject": {"pixels": w.pixels, "depth": w.poses[..., 2], "camera": w.camera},
        "bone_length": {"joints": w.poses, "bone": ("middle_mcp", "middle_pip")},
        "bone_lengths": {"joints": w.poses},
        "decode_25d": {"points": points.points, "camera": w.camera, "scale": points.scale, **upright},
        "encode_25d": {"joints": w.poses, "camera": w.camera, **upright},
        "hand_axes": {"joints": w.poses, "side": w.side},
        "mean_bone_lengths": {"joints": w.poses},
        "procrustes": {**both, "scaling": True, "mask": w.visible},
        "project": {"points": w.poses, "camera": w.camera},
        "recover_scale": {"joints": w.poses, "mean_bones": bones},
        "rotate_points": {"points": w.poses, "rotation": turn},
        "rotation_to_axis": {"points": w.poses[:, 9]},
        "rotation_z": {"degrees": np.linspace(0, 90, len(w.poses))},
        "transform_camera": {"camera": w.camera, "affine": affine, "rotation": None},
    }
    mixing = ("mean_bone_lengths",)
    return {
        f"skhand.geometry.{name}": lambda name=name, arguments=arguments: Call(
            getattr(geometry, name), arguments, mixes=name in mixing
        )
        for name, arguments in good.items()
    }


def _metrics(w: World) -> dict[str, Callable[[], Call]]:
    both = {"y_true": w.poses, "y_pred": w.predicted}
    options = {"visible": w.visible, "align": None, "root": "palm", "root_joint": "keep", "n_dims": 3}
    averaged = {**both, "average": "joints", **options}
    flat = {"y_true": w.pixels, "y_pred": w.pixels + w.noise[..., :2], "average": "joints", **options}
    score = {"protocol": "freihand", "visible": w.visible, "layout": None, "mean_bones": None}
    score |= {"palm_to_wrist": None}
    good: dict[str, dict[str, Any]] = {
        "angle_violations": {"y": w.poses, "side": w.side},
        "bone_length_error": both,
        "evaluate_predictions": {**both, "given": None, **score},
        "get_scorer": {"name": "pck", "threshold": 30.0},
        "get_scorer_names": {},
        "joint_angles": {"y": w.poses, "side": w.side},
        "joint_errors": {**both, **options},
        "make_pose_scorer": {"metric": metrics.pck, "greater_is_better": True, "threshold": 30.0},
        "mean_epe": averaged,
        "median_epe": averaged,
        "pcf": {**both, "threshold": 30.0, **options},
        "pck": {**averaged, "threshold": 30.0},
        "pck_auc": {**averaged, "thresholds": "hand3d"},
        "pck_curve": {**averaged, "thresholds": "hand3d"},
        "pckh": {**flat, "head_size": np.full(len(w.poses), 10.0), "threshold": 0.5, "n_dims": 2},
    }
    scorers = ("neg_epe", "neg_mean_epe", "neg_median_epe", "pck_scorer", "pck_auc_scorer", "pcf_scorer")
    X = w.rows("cross-modal")

    def scorer(name: str, **more: Any) -> Callable[[], Call]:
        good = {"estimator": w.fitted("cross-modal"), "X": X, "y_true": w.y, **more}
        return lambda: Call(getattr(metrics, name), good, mixes=True)

    evaluation = "skhand.metrics.Evaluation"
    fields = {name: getattr(PROTOCOLS["zb2017_rhd"], name) for name in Protocol.__dataclass_fields__}
    curve = {"thresholds": "hand3d", "align": "first"}
    return {
        **{
            f"skhand.metrics.{name}": lambda name=name, arguments=arguments: Call(
                getattr(metrics, name), arguments, mixes="errors" not in name and "angles" not in name
            )
            for name, arguments in good.items()
        },
        **{f"skhand.metrics.{name}": scorer(name) for name in scorers},
        "skhand.metrics.pckh_scorer": lambda: Call(
            routed(metrics.pckh_scorer),
            {"estimator": w.fitted("cross-modal"), "X": X, "y_true": w.y, "head_size": np.full(len(X), 10.0)},
            mixes=True,
        ),
        "skhand.metrics.evaluate": lambda: Call(
            metrics.evaluate,
            {"estimator": w.fitted("cross-modal"), "X": X, "y": w.y, "given": "estimator"}
            | {**score, "visible": None},
            mixes=True,
        ),
        "skhand.metrics.Protocol": lambda: Call(Protocol, fields),
        f"{evaluation}.pcf_curve": lambda: Call(w.evaluation.pcf_curve, curve, mixes=True),
        f"{evaluation}.pck_curve": lambda: Call(w.evaluation.pck_curve, curve, mixes=True),
        f"{evaluation}.to_dict": lambda: Call(w.evaluation.to_dict, {}),
        f"{evaluation}.to_frame": lambda: Call(w.evaluation.to_frame, {}),
        f"{evaluation}.to_json": lambda: Call(w.evaluation.to_json, {"path": None}),
        **_splitters(w),
    }


def routed(scorer: Any) -> Callable[..., Any]:
    """Call a scorer with scikit-learn's metadata routing, which its keywords need."""

    def score(**good: Any) -> float:
        with config_context(enable_metadata_routing=True):
            return scorer(**good)

    return score


def _splitters(w: World) -> dict[str, Callable[[], Call]]:
    out: dict[str, Callable[[], Call]] = {}

    def construct(cls: Any, arguments: dict[str, Any]) -> Callable[..., Any]:
        return lambda **params: list(cls(**params).split(**arguments))

    for cls, params in (
        (BlockKFold, {"n_splits": 2, "gap": 0}),
        (LabelledKFold, {"n_splits": 2, "shuffle": True, "random_state": 0}),
    ):
        name, splitter = f"skhand.model_selection.{cls.__name__}", cls(n_splits=2)
        arguments = {"X": w.noise[:, 0], "y": w.poses, "groups": None if cls is BlockKFold else w.groups}
        run = construct(cls, arguments)
        out[name] = lambda run=run, params=params: Call(run, params)
        out[f"{name}.split"] = lambda splitter=splitter, arguments=arguments: Call(
            lambda **good: list(splitter.split(**good)), arguments, mixes=True
        )
        out[f"{name}.get_n_splits"] = lambda splitter=splitter: Call(
            splitter.get_n_splits, {"X": None, "y": None, "groups": None}
        )
    return out


def _plotting(w: World) -> dict[str, Callable[[], Call]]:
    estimator, X, y = w.fitted("cross-modal"), w.rows("cross-modal"), w.y
    pairs = {"y_true": w.poses, "y_pred": w.predicted}
    common = {"align": None, "root": "palm"}
    curve = {"thresholds": "freihand", "visible": None, **common, "name": None, "unit": "mm", "ax": None}
    grid = {**common, "visible": None, "n_hands": 2, "which": "worst", "random_state": 0, "kind": None}
    view = {"elev": 12.0, "azim": -70.0}
    prediction = {"errors": np.linalg.norm(w.noise, axis=2).mean(axis=1), "rows": None, "pictures": w.rgb}
    prediction |= {"keypoints_true": w.pixels, "keypoints_pred": w.pixels}
    one = {"y_true": w.poses[0], "y_pred": w.predicted[0]}
    two = {name: pose[:2] for name, pose in pairs.items()} | {
        name: v[:2] for name, v in prediction.items() if v is not None
    }
    thresholds = {"thresholds": np.linspace(0, 50, 5), "pck": np.linspace(0, 1, 5)}
    walk = {"rgb": w.rgb[:3], "pose3d": w.poses[:3]}
    P, S, C, L = (
        getattr(plotting, f"{n}Display") for n in ("Prediction", "Skeleton", "PckCurve", "LatentWalk")
    )
    good: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "LatentWalkDisplay": (L, {"walk": walk}),
        "LatentWalkDisplay.from_estimator": (
            L.from_estimator,
            {
                "estimator": estimator,
                "X_a": X[:1],
                "X_b": X[1:2],
                "n_steps": 2,
                "source": None,
                "targets": None,
            },
        ),
        "LatentWalkDisplay.plot": (lambda **good: L(walk).plot(**good), view),
        "PckCurveDisplay": (C, {**thresholds, "name": None, "unit": "mm"}),
        "PckCurveDisplay.from_estimator": (
            C.from_estimator,
            {"estimator": estimator, "X": X, "y": y, **curve, "color": "red"},
        ),
        "PckCurveDisplay.from_predictions": (C.from_predictions, {**pairs, **curve, "color": "red"}),
        "PckCurveDisplay.plot": (
            lambda **good: C(**thresholds).plot(**good),
            {"ax": None, "name": None, "color": "red"},
        ),
        "PredictionDisplay": (lambda **good: P(**good).plot(), {**two, "rows": None}),
        "PredictionDisplay.from_estimator": (
            P.from_estimator,
            {"estimator": estimator, "X": X, "y": y, **grid},
        ),
        "PredictionDisplay.from_predictions": (P.from_predictions, {**pairs, "X": w.frames, **grid}),
        "PredictionDisplay.plot": (
            lambda **good: P(**two).plot(**good),
            {"kind": None, "n_columns": 2, **view},
        ),
        "SkeletonDisplay": (lambda **good: S(**good).plot(), one),
        "SkeletonDisplay.from_estimator": (
            S.from_estimator,
            {"estimator": estimator, "X": X, "y": y, "row": 0, **common, "ax": None},
        ),
        "SkeletonDisplay.from_predictions": (S.from_predictions, {**pairs, "row": 0, **common, "ax": None}),
        "SkeletonDisplay.plot": (lambda **good: S(**one).plot(**good), {"ax": None, **view}),
        "SkeletonDisplay.to_plotly": (lambda: S(**one).to_plotly(), {}),
        "draw_hand": (
            plotting.draw_hand,
            {"picture": w.rgb[0], "hand": w.pixels[0], "camera": None, "width": None, "colour": None},
        ),
    }
    return {
        f"skhand.plotting.{name}": lambda run=run, arguments=arguments: Call(run, arguments, mixes=True)
        for name, (run, arguments) in good.items()
    }


def _preprocessing(w: World) -> dict[str, Callable[[], Call]]:
    table = w.frames.replace(pose3d=w.poses, root=w.poses[:, 9], mask=None)
    out: dict[str, Callable[[], Call]] = {}

    def add(
        cls: Any,
        X: Any,
        *,
        back: dict[str, Any] | None = None,
        more: dict[str, Any] | None = None,
        **params: Any,
    ) -> None:
        name, more = f"skhand.preprocessing.{cls.__name__}", more or {}
        defaults = cls().get_params()
        fitted = cls(**params).fit(X)
        there = fitted.transform(X, **more)
        out[name] = lambda: Call(
            lambda **parameters: cls(**parameters).fit(X).transform(X, **more), {**defaults, **params}
        )
        out[f"{name}.fit"] = lambda: Call(
            lambda **good: cls(**params).fit(**good).transform(X, **more), {"X": X, "y": None}, mixes=True
        )
        out[f"{name}.transform"] = lambda: Call(fitted.transform, {"X": X, **more})
        out[f"{name}.inverse_transform"] = lambda: Call(
            fitted.inverse_transform, {"X": there, **(back or {})}
        )

    add(preprocessing.DepthCropper, table.replace(rgb=None), size=16)
    add(preprocessing.HandCropper, table.replace(depth=None), size=12)
    add(preprocessing.HandMirror, table)
    add(preprocessing.ImageNormalizer, w.rgb)
    add(preprocessing.ViewAligner, table.replace(depth=None))
    encoded = geometry.encode_25d(w.poses, w.camera)
    add(
        preprocessing.Pose25D,
        w.poses,
        more={"camera": w.camera},
        back={"camera": w.camera, "scale": encoded.scale},
    )
    add(
        preprocessing.PoseNormalizer,
        w.poses,
        back={"root": root_position(w.poses), "scale": geometry.bone_length(w.poses)},
    )
    crop = geometry.affine_crop((1.5, 2.5, 8, 9), 12)
    return {
        **out,
        "skhand.preprocessing.head_box": lambda: Call(
            preprocessing.head_box,
            {"centre": w.pixels[:, 0], "head_length": np.full(len(w.pixels), 10.0), "factor": 0.7},
        ),
        "skhand.preprocessing.warp_images": lambda: Call(
            preprocessing.warp_images,
            {"images": w.rgb, "affine": np.tile(crop, (len(w.rgb), 1, 1)), "size": 12, "order": 1},
        ),
    }


def _tracking(w: World) -> dict[str, Callable[[], Call]]:
    name = "skhand.tracking.HandTracker"

    def construct(**params: Any) -> Any:
        tracker = w.tracker(**params)
        return [tracker.predict(w.scenes[0]), *(tracker.track(frame) for frame in w.scenes)]

    def detect(**params: Any) -> Any:
        return HandDetector(**params).predict(w.scenes)

    detector = w.detector
    detecting = {"threshold": 0.0, "max_hands": 2, "overlap": 0.9, "detector": "skhand", "weights": w.weights}
    return {
        name: lambda: Call(construct, w.tracker().get_params(deep=False)),
        f"{name}.predict": lambda: Call(w.tracker().predict, {"pictures": w.scenes}),
        f"{name}.predict_video": lambda: Call(
            lambda **good: list(w.tracker().predict_video(**good)),
            {"frames": w.scenes, "fps": 30.0},
            mixes=True,
        ),
        f"{name}.track": lambda: Call(
            lambda **good: w.tracker().track(**good), {"frame": w.scenes[0], "time": 0.0}, mixes=True
        ),
        f"{name}.reset": lambda: Call(w.tracker().reset, {}),
        "skhand.tracking.Hands.__getitem__": lambda: Call(w.hands.__getitem__, {"rows": np.array([1, 0])}),
        "skhand.tracking.Hands.draw": lambda: Call(w.hands.draw, {"picture": 1, "width": None}),
        "skhand.detection.HandDetector": lambda: Call(detect, {**detecting, "device": "cpu"}),
        "skhand.detection.HandDetector.fit": lambda: Call(
            lambda **good: detector().fit(**good).predict(w.scenes), {"X": w.scenes, "y": None}, mixes=True
        ),
        "skhand.detection.HandDetector.predict": lambda: Call(detector().predict, {"X": w.scenes}),
        "skhand.detection.HandDetector.transform": lambda: Call(
            detector().transform, {"X": w.scenes}, mixes=True
        ),
    }


def _skeleton(w: World) -> dict[str, Callable[[], Call]]:
    native = {"joints": w.poses, "source": "canonical", "target": "stb", "palm_to_wrist": "ring"}
    return {
        "skhand.skeleton.Layout": lambda: Call(
            Layout, {"name": "mine", "joints": ("wrist", "palm"), "note": ""}
        ),
        "skhand.skeleton.layout_bones": lambda: Call(layout_bones, {"layout": "stb"}),
        "skhand.skeleton.convert": lambda: Call(convert, native),
        "skhand.skeleton.joint_index": lambda: Call(
            joint_index, {"name": LAYOUTS["stb"].joints[3], "layout": "stb"}
        ),
        "skhand.skeleton.root_position": lambda: Call(root_position, {"joints": w.poses, "root": "palm"}),
    }


def _newer_displays(w: World) -> dict[str, Callable[[], Call]]:
    X, y = w.rows("cross-modal"), w.y
    latent = w.noise[:, 0]
    walks = {"rgb": latent, "pose3d": latent + 1.0}
    hands = w.frames.replace(pose3d=w.poses)
    maps = np.abs(np.random.default_rng(0).normal(size=(2, 21, 8, 8)))
    E, H, M, J = (
        getattr(plotting, f"{name}Display")
        for name in ("LatentEmbedding", "History", "Heatmap", "JointError")
    )
    history = {"loss": np.array([2.0, 1.0]), "seconds": np.array([0.1, 0.1])}
    errors = np.linalg.norm(w.noise, axis=2).mean(axis=0)
    heatmaps, points = {"heatmaps": maps[0], "picture": w.rgb[0]}, {"points": {"rgb": latent[:, :2]}}
    good: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
        "LatentEmbeddingDisplay": (lambda **good: E(**good).plot(), points),
        "LatentEmbeddingDisplay.plot": (lambda **good: E(**points).plot(**good), {}),
        "LatentEmbeddingDisplay.from_predictions": (
            E.from_predictions,
            {"latents": walks, "random_state": 0},
        ),
        "LatentEmbeddingDisplay.from_estimator": (
            E.from_estimator,
            {"estimator": w.fitted("cross-modal"), "X": X.replace(pose3d=y), "random_state": 0},
        ),
        "HistoryDisplay": (lambda **good: H(**good).plot(), {"history": history}),
        "HistoryDisplay.plot": (lambda **good: H(history).plot(**good), {}),
        "HistoryDisplay.from_estimator": (H.from_estimator, {"estimator": w.fitted("cross-modal")}),
        "HeatmapDisplay": (lambda **good: M(**good).plot(), heatmaps),
        "HeatmapDisplay.plot": (lambda **good: M(**heatmaps).plot(**good), {}),
        "HeatmapDisplay.from_predictions": (M.from_predictions, {"heatmaps": maps, "X": hands[:2]}),
        "HeatmapDisplay.from_estimator": (
            M.from_estimator,
            {"estimator": w.fitted("heatmap"), "X": w.rows("heatmap")},
        ),
        "JointErrorDisplay": (lambda **good: J(**good).plot(), {"errors": errors}),
        "JointErrorDisplay.plot": (lambda **good: J(errors).plot(**good), {}),
        "JointErrorDisplay.from_predictions": (
            J.from_predictions,
            {"y_true": w.poses, "y_pred": w.predicted},
        ),
        "JointErrorDisplay.from_estimator": (
            J.from_estimator,
            {"estimator": w.fitted("cross-modal"), "X": X, "y": y},
        ),
    }
    return {
        f"skhand.plotting.{name}": lambda run=run, arguments=arguments: Call(run, arguments, mixes=True)
        for name, (run, arguments) in good.items()
    }


def _features(w: World) -> dict[str, Callable[[], Call]]:
    out: dict[str, Callable[[], Call]] = {}
    for name in ("BoneLengths", "CanonicalPose", "JointAngles"):
        cls = getattr(preprocessing, name)
        params = {"side": "left"} if "side" in cls().get_params() else {}
        fitted, full = cls(**params).fit(w.poses), f"skhand.preprocessing.{name}"
        out[full] = lambda cls=cls, params=params: Call(
            lambda **good: cls(**good).fit(w.poses).transform(w.poses), {**cls().get_params(), **params}
        )
        out[f"{full}.fit"] = lambda cls=cls, params=params: Call(
            lambda **good: cls(**params).fit(**good).transform(w.poses), {"X": w.poses}, mixes=True
        )
        out[f"{full}.transform"] = lambda fitted=fitted: Call(fitted.transform, {"X": w.poses})
        out[f"{full}.get_feature_names_out"] = lambda fitted=fitted: Call(fitted.get_feature_names_out, {})
    return out


def _persistence(w: World) -> dict[str, Callable[[], Call]]:
    path, estimator = w.folder / "saved.safetensors", w.fitted("cross-modal")
    persistence.save(estimator, path)
    return {
        "skhand.persistence.save": lambda: Call(
            persistence.save, {"estimator": estimator, "path": str(w.folder / "other.safetensors")}
        ),
        "skhand.persistence.load": lambda: Call(
            lambda **good: persistence.load(**good).predict(w.rows("cross-modal")), {"path": str(path)}
        ),
    }


def _folders(w: World) -> dict[str, Callable[[], Call]]:
    """Tables of hands on disk."""
    hands, folder = datasets.make_hands(3, image_size=16, random_state=0), w.folder / "of_hands"
    hands.data = hands.data.replace(scale=None, root=None, domain=None)
    pictures = hands.data.replace(depth=None, mask=None)
    datasets.save_folder(pictures, hands.target, folder)
    anew = "anew"  # stands for a folder that no call before has written to

    def save_folder(data_dir: Any, **good: Any) -> Any:
        path = tempfile.mkdtemp(dir=w.folder) if isinstance(data_dir, str) and data_dir == anew else data_dir
        datasets.save_folder(data_dir=path, **good)
        return datasets.load_folder(path).target

    def save_rhd(data_dir: Any, **good: Any) -> Any:
        path = tempfile.mkdtemp(dir=w.folder) if isinstance(data_dir, str) and data_dir == anew else data_dir
        datasets.save_rhd(data_dir=path, **good)
        return datasets.load_rhd(path).target

    return {
        "skhand.datasets.load_folder": lambda: Call(
            datasets.load_folder, {"data_dir": str(folder), "table": "hands.csv", "return_X_y": False}
        ),
        "skhand.datasets.save_folder": lambda: Call(
            save_folder,
            {"data": pictures, "target": hands.target, "data_dir": anew, "groups": np.arange(3)},
        ),
        "skhand.datasets.save_rhd": lambda: Call(
            save_rhd, {"data": hands.data, "target": hands.target, "data_dir": anew, "split": "train"}
        ),
        "skhand.tracking.Hands.to_csv": lambda: Call(
            w.hands.to_csv, {"path": str(w.folder / "hands.csv"), "names": None}
        ),
        "skhand.tracking.Hands.to_json": lambda: Call(
            w.hands.to_json, {"path": str(w.folder / "hands.json"), "names": None}
        ),
    }
