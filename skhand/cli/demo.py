"""Show what skhand does in about two minutes: hands, scores, a fit, and pictures to keep."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

from skhand.cli._shared import batches, make_folder, number, progress, use_matplotlib

_RENDERED, _SMALL = 64, 32  # px, of the pictures that the small model is fitted on, before and after cropping
_PEOPLE = 200  # a tenth is held out
_HELD_OUT = 0.1
_SHOWN = 16
_PHOTO: dict[str, Any] = {"image_size": 480, "distance": (450.0, 700.0), "rotation": 60.0, "random_state": 3}
_PHOTO_ROW = 7  # one that shows a person


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
    make_folder(args.out)
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
    print("1. Hands of people that no model here was trained on")
    hands = _render(args)
    predictions = _predict_baselines(hands)
    predictions["shipped model"] = _run_shipped(args.out, hands)
    _print_scores(hands, predictions)
    print(f"\n2. A whole picture ({time.perf_counter() - start:.0f} s so far)")
    _run_picture(args.out)
    print(f"\n3. A small model of your own ({time.perf_counter() - start:.0f} s so far)")
    predictions["small model, just fitted"] = _fit_small(args, hands)
    _print_scores(hands, predictions)
    _draw_pck(args.out, hands, predictions)
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
    from PIL import Image

    from skhand.estimators import LatentHeatmapRegressor
    from skhand.plotting import SkeletonDisplay, draw_hand

    model = LatentHeatmapRegressor.from_pretrained()
    parts = progress(batches(len(hands.large), 32), "shipped model", unit="batch")
    predicted = np.concatenate([model.predict(hands.large[rows]) for rows in parts])
    shown = hands.large[:_SHOWN]
    keypoints, zoom = model.predict_keypoints(shown), 2
    tiles = []
    for picture, points in zip(np.asarray(shown.rgb), keypoints, strict=True):
        large = Image.fromarray(picture).resize((128 * zoom, 128 * zoom), Image.Resampling.LANCZOS)
        tiles.append(np.asarray(draw_hand(large, (points + 0.5) * zoom - 0.5)))
    full = range(0, len(tiles) - 3, 4)  # rows of four
    rows = [np.concatenate(tiles[first : first + 4], axis=1) for first in full]
    Image.fromarray(np.concatenate(rows)).save(out / "predictions.png")
    display = SkeletonDisplay.from_predictions(hands.y_test, predicted, align="root")
    display.figure_.savefig(out / "skeleton.png", dpi=100)
    print(f"-> {out / 'predictions.png'}: the shipped model's answers on {4 * len(full)} of them")
    print(f"-> {out / 'skeleton.png'}: the first of them in 3D, the truth in grey")
    return predicted


def _run_picture(out: Path) -> None:
    """Find the hands of one whole picture."""
    from PIL import Image

    from skhand.datasets import make_hands
    from skhand.tracking import HandTracker

    camera = [[427.0, 0.0, 239.5], [0.0, 427.0, 239.5], [0.0, 0.0, 1.0]]  # 60 degrees from side to side
    scene = make_hands(_PHOTO_ROW + 1, framing=camera, images=("rgb",), lazy=True, **_PHOTO).data.rgb[
        _PHOTO_ROW
    ]
    Image.fromarray(scene).save(out / "photo.jpg", quality=95)
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
        verbose=True,
    )
    model.fit(hands.X, hands.y)
    predicted = model.predict(hands.X_test)
    path = args.out / "model.safetensors"
    save(model, path)
    same = np.array_equal(load(path).predict(hands.X_test), predicted)
    print(f"-> {path}: saved and loaded; its predictions are {'equal' if same else 'NOT equal'}")
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
