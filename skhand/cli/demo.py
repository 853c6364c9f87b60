"""Show what skhand does in about a minute: hands, scores, a fit, and pictures to keep."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

from skhand.cli._shared import EpochBar, batches, check_place, make_folder, number, progress, use_matplotlib

_RENDERED, _SMALL = 64, 32  # px, of the pictures that the small model is fitted on, before and after cropping
_PEOPLE = 200  # a tenth is held out
_HELD_OUT = 0.1
_SHOWN, _IN_3D = 16, 8  # hands on the two pictures of the shipped model
_PHOTO: dict[str, Any] = {"image_size": 640, "distance": (350.0, 550.0), "rotation": 60.0, "random_state": 5}
_PHOTO_CAMERA = [[570.0, 0.0, 319.5], [0.0, 570.0, 319.5], [0.0, 0.0, 1.0]]
_PHOTO_ROW, _PHOTO_PEOPLE = 18, 24  # a hand before leaves


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "--out", type=Path, default=Path("skhand-demo"), help="folder for pictures and the model"
    )
    parser.add_argument("--hands", type=number(int, 16), default=300, help="hands to test on, at most")
    parser.add_argument(
        "--train", type=number(int, 100), default=3000, help="hands to fit the small model on"
    )
    parser.add_argument("--epochs", type=number(int, 1), default=12, help="passes of the small model")
    parser.add_argument("--seed", type=number(int, 0, 2**31 - 1), default=0, help="seed of the hands")


class _Hands(NamedTuple):
    """Small pictures to train and test on, and the test hands as large ones."""

    X: Any
    y: Any
    X_test: Any
    y_test: Any
    large: Any


def run(args: argparse.Namespace) -> int:
    """Run the three parts, each on one thread, but for the rendering on one a core: the pieces are small."""
    use_matplotlib("demo")
    check_place(args.out)
    import torch

    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        _run_parts(args)
    finally:
        torch.set_num_threads(n_threads)
    return 0


def _run_parts(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    make_folder(args.out)
    print("1. Hands of people that no model here was trained on")
    hands = _render(args)
    predictions = _predict_baselines(hands)
    predictions["shipped model"] = _run_shipped(args.out, hands)
    _print_scores(hands, predictions)
    print("EPE: distance to the true joints, mm. PCK 20: share within 20 mm. AUC: mean share, 0 to 50 mm.")
    print("root: the palm moved onto the true one. procrustes: after the best turn, size and place.")
    print(f"\n2. A whole picture ({time.perf_counter() - start:.0f} s so far)")
    _run_picture(args.out)
    print(f"\n3. A small model of your own ({time.perf_counter() - start:.0f} s so far)")
    small = {"small model, just fitted": _fit_small(args, hands)}
    baselines = {name: predictions[name] for name in ("mean pose", "nearest neighbour")}
    _print_scores(hands, baselines | small)
    _draw_pck(args.out, hands, predictions | small)
    print(f"\nDone in {time.perf_counter() - start:.0f} s; look into {args.out}. What to try next:")
    print("  skhand predict YOUR_PICTURES --out found     hands in photographs, videos, or your camera")
    print("  skhand fit FOLDER --out mine                 a model for your own labelled photographs")
    print("  skhand evaluate hands FOLDER                 a report to mail")


def _render(args: argparse.Namespace) -> _Hands:
    """Render right hands; those of a tenth of the people also large."""
    import numpy as np

    from skhand.datasets import make_hands
    from skhand.preprocessing import HandCropper

    settings = {
        "n_subjects": _PEOPLE,
        "side": "right",
        "rotation": 30.0,
        "images": ("rgb",),
        "lazy": True,
        "random_state": args.seed,
    }
    n_all = round(args.train / (1 - _HELD_OUT))
    hands = make_hands(n_all, image_size=_RENDERED, **settings)
    held_out = hands.groups >= (1 - _HELD_OUT) * _PEOPLE
    train, test = np.flatnonzero(~held_out), np.flatnonzero(held_out)[: args.hands]
    rows = np.concatenate([train, test])
    small = hands.data[rows]
    small = small.replace(rgb=_read(small.rgb, f"{_RENDERED} px"))
    small = HandCropper(_SMALL, source="box", margin=1.1).fit_transform(small)
    large = make_hands(n_all, image_size=128, **settings).data[test]  # the same hands
    large = large.replace(rgb=_read(large.rgb, "128 px"))
    y = hands.target
    return _Hands(small[: len(train)], y[train], small[len(train) :], y[test], large)


def _read(pictures: Any, what: str) -> Any:
    """Render pictures in batches, as many at once as there are cores."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np
    from joblib import cpu_count

    parts = batches(len(pictures), 32)
    with ThreadPoolExecutor(cpu_count()) as pool:
        read = pool.map(lambda rows: np.asarray(pictures[rows]), parts)
        return np.concatenate(list(progress(read, f"rendering {what}", total=len(parts), unit="batch")))


def _predict_baselines(hands: _Hands) -> dict[str, Any]:
    """Predict the mean pose, and the pose of the nearest picture."""
    import numpy as np
    from sklearn.neighbors import KNeighborsRegressor

    from skhand.geometry import align_root

    def shrink(frames: Any) -> Any:
        grey = np.asarray(frames.rgb).mean(axis=3)
        return (
            grey.reshape(len(grey), 16, _SMALL // 16, 16, _SMALL // 16)
            .mean(axis=(2, 4))
            .reshape(len(grey), -1)
        )

    relative = align_root(hands.y)
    nearest = KNeighborsRegressor(1).fit(shrink(hands.X), relative.reshape(len(relative), -1))
    return {
        "mean pose": np.tile(relative.mean(axis=0), (len(hands.y_test), 1, 1)),
        "nearest neighbour": nearest.predict(shrink(hands.X_test)).reshape(-1, *relative.shape[1:]),
    }


def _run_shipped(out: Path, hands: _Hands) -> Any:
    """Predict with the weights that ship, and draw."""
    import numpy as np

    from skhand.estimators import LatentHeatmapRegressor

    model = LatentHeatmapRegressor.from_pretrained()
    parts = progress(batches(len(hands.large), 32), "shipped model", unit="batch")
    predicted = np.concatenate([model.predict(hands.large[rows]) for rows in parts])
    keypoints = model.predict_keypoints(hands.large[:_SHOWN])
    _draw_tiles(out / "predictions.png", hands.large.rgb, keypoints)
    _draw_in_3d(out / "skeleton.png", hands, predicted, keypoints)
    return predicted


def _draw_tiles(path: Path, pictures: Any, keypoints: Any) -> None:
    """Save pictures with the hands drawn in, four in a row."""
    import numpy as np
    from PIL import Image

    from skhand.plotting import draw_hand

    zoom, tiles = 2, []
    for picture, points in zip(pictures, keypoints, strict=False):
        large = Image.fromarray(picture).resize((128 * zoom, 128 * zoom), Image.Resampling.LANCZOS)
        tiles.append(np.asarray(draw_hand(large, (points + 0.5) * zoom - 0.5)))
    full = range(0, len(tiles) - 3, 4)
    rows = [np.concatenate(tiles[first : first + 4], axis=1) for first in full]
    Image.fromarray(np.concatenate(rows)).save(path)
    print(f"-> {path}: where the shipped model sees the joints of {4 * len(full)} of them")


def _draw_in_3d(path: Path, hands: _Hands, predicted: Any, keypoints: Any) -> None:
    """Save the first hands with the truth, on the picture and in 3D."""
    import numpy as np

    from skhand.geometry import align_root
    from skhand.metrics import joint_errors
    from skhand.plotting import PredictionDisplay

    few = np.arange(min(_IN_3D, len(keypoints)))
    display = PredictionDisplay(
        align_root(hands.y_test[few]),
        align_root(predicted[few]),
        errors=joint_errors(hands.y_test[few], predicted[few], align="root").mean(axis=1),
        pictures=np.asarray(hands.large.rgb)[few],
        keypoints_true=hands.large.keypoints2d[few],
        keypoints_pred=keypoints[few],
    ).plot()
    display.figure_.savefig(path, dpi=100)
    print(f"-> {path}: {len(few)} of them beside the truth, on the picture and in 3D")


def _run_picture(out: Path) -> None:
    """Find the hands of one whole picture."""
    from PIL import Image

    from skhand.datasets import make_hands
    from skhand.tracking import HandTracker

    scenes = make_hands(
        _PHOTO_PEOPLE, n_subjects=_PHOTO_PEOPLE, framing=_PHOTO_CAMERA, images=("rgb",), lazy=True, **_PHOTO
    )
    Image.fromarray(scenes.data.rgb[_PHOTO_ROW]).save(out / "photo.jpg", quality=95)
    hands = HandTracker().predict(out / "photo.jpg")
    hands.draw().save(out / "overlay.png")
    hands.to_csv(out / "hands.csv")
    for i in range(len(hands)):
        x, y, z = hands.joints[i, 0]
        print(f"a {hands.side[i]} hand, score {hands.score[i]:.2f}, wrist at ({x:.0f}, {y:.0f}, {z:.0f}) mm")
    print(f"-> {out / 'photo.jpg'}, {out / 'overlay.png'}, {out / 'hands.csv'}")


def _fit_small(args: argparse.Namespace, hands: _Hands) -> Any:
    """Fit a small model, save it, load it again, and predict."""
    import numpy as np

    from skhand.estimators import CrossModalVAERegressor
    from skhand.persistence import load, save
    from skhand.plotting import LatentWalkDisplay

    print(f"{len(hands.y)} pictures of {_SMALL} px of other people; given: the palm's place (T)")
    model = CrossModalVAERegressor(
        pairs=[("rgb", "pose3d"), ("pose3d", "pose3d")],
        backbone="small",
        n_hidden_layers=2,
        given=("root",),
        augment=None,
        lr=1e-3,
        batch_size=32,
        lr_schedule="cosine",
        max_epochs=args.epochs,
        random_state=args.seed,
    )
    start = time.perf_counter()
    model.set_callbacks(EpochBar(args.epochs)).fit(hands.X, hands.y).set_callbacks()
    print(f"{args.epochs} passes over them took {time.perf_counter() - start:.0f} s")
    predicted = model.predict(hands.X_test)
    path = args.out / "model.safetensors"
    save(model, path)
    same = np.array_equal(load(path).predict(hands.X_test), predicted)
    print(f"-> {path}: saved and loaded; its predictions are {'equal' if same else 'NOT equal'}")
    walk = args.out / "latent_walk.png"
    display = LatentWalkDisplay.from_estimator(model, hands.X_test[:1], hands.X_test[1:2], n_steps=8)
    display.figure_.savefig(walk, dpi=130)
    print(f"-> {walk}: from one hand to another through its latent space")
    return predicted


def _print_scores(hands: _Hands, predictions: dict[str, Any]) -> None:
    from skhand.cli._scores import format_scores

    print(f"\n{len(hands.y_test)} right hands, views within 30 degrees of the frontal one; mm and shares")
    print(format_scores(hands.y_test, predictions, ("root", "procrustes")))


def _draw_pck(out: Path, hands: _Hands, predictions: dict[str, Any]) -> None:
    """Draw the curves of all predictions in one axis."""
    from skhand.plotting import PckCurveDisplay

    ax = PckCurveDisplay.from_predictions(hands.y_test, predictions, align="root").ax_
    ax.set_title("Share of joints within a distance of the true ones,\nrelative to the palm", fontsize=10)
    ax.figure.savefig(out / "pck.png", dpi=110, bbox_inches="tight")
    print(f"-> {out / 'pck.png'}: share of joints within a distance")
