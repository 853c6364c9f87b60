"""Find the hands in pictures, videos or a camera's view."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from skhand._decoding import list_pictures
from skhand._validation import count
from skhand.cli._shared import (
    MODEL_HELP,
    check_place,
    make_folder,
    number,
    open_model,
    print_error,
    print_line,
    progress,
)
from skhand.cli._video import VideoReader, VideoWriter, import_cv2
from skhand.exceptions import InputError

_VIDEOS = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv")
_KEPT = (".jpeg", ".jpg", ".png")  # overlays have the picture's own format
_ENOUGH = 0.98  # of the frames that a video says it has


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        help="picture files, folders of pictures, video files, or camera, camera:1 and so on",
    )
    parser.add_argument("--out", type=Path, default=Path("skhand-out"), help="folder for the results")
    parser.add_argument("--model", metavar="FILE", default="hands", help=MODEL_HELP)
    parser.add_argument(
        "--fov",
        type=number(float, 0, 179, open_ended=True),
        default=60.0,
        help="angle of view along the diagonal, degrees, of pictures whose EXIF data do not say it",
    )
    parser.add_argument("--max-hands", type=number(int, 1), default=2, help="hands a picture, at most")
    parser.add_argument(
        "--turns",
        type=number(int, 1, 24),
        default=1,
        metavar="N",
        help="average the answers to N turned copies of a hand: with 3, errors are 4%% lower",
    )
    parser.add_argument("--smoothing", choices=["none", "one_euro"], default="none", help="of videos")
    parser.add_argument("--frames", type=number(int, 1), help="frames of a video or camera, at most")
    parser.add_argument("--no-overlays", action="store_true", help="write the tables only")


class _Input(NamedTuple):
    """One picture, video or camera, and what the tables call it."""

    source: Path | int
    name: str
    is_video: bool


def run(args: argparse.Namespace) -> int:
    """Predict, write overlays and tables, and tell what could not be read."""
    inputs = find_inputs(args.inputs, args.out)
    if any(each.is_video for each in inputs):
        import_cv2()  # before any work
    check_place(args.out)
    tracker = _make_tracker(args)
    overlays = None if args.no_overlays else args.out / "overlays"
    from skhand.datasets._hand_table import COLUMNS, TableWriter

    any_video = any(each.is_video for each in inputs)
    skipped = ("group",) if any_video else ("group", "frame", "id")
    names = [name for name in COLUMNS if name not in skipped]
    pictures = [each for each in inputs if not each.is_video]
    n_failed = n_hands = n_empty = 0
    with TableWriter(names, args.out / "hands.csv", args.out / "hands.json") as table:
        for each in progress(pictures, "pictures", unit="picture") if pictures else ():
            try:
                n_found = _predict_picture(each, tracker, table, args.out, overlays)
                n_hands, n_empty = n_hands + n_found, n_empty + (n_found == 0)
            except (InputError, OSError) as error:
                print_error(str(error).removeprefix("pictures: "))
                n_failed += 1
        for each in inputs:
            if each.is_video:
                try:
                    n_hands += _predict_video(each, tracker, table, args.out, overlays, args.frames)
                except (InputError, OSError) as error:
                    print_error(error)
                    n_failed += 1
    there = " and overlays/" if overlays is not None else ""
    if table.begun:  # else nothing could be read, and the tables of an earlier call stay
        print(f"{count(n_hands, 'hand')} -> {args.out}{os.sep}: hands.csv, hands.json{there}")
    if n_empty:
        print(f"none found in {n_empty} of {len(pictures)} pictures")
    if n_failed:
        print_line(f"skhand: {n_failed} of {len(inputs)} inputs could not be done, or not to their end")
    return 1 if n_failed else 0


def _make_tracker(args: argparse.Namespace) -> Any:
    from skhand.tracking import HandTracker
    from skhand.tracking._crops import check_pose

    pose = open_model(args.model, "--model")
    check_pose(pose)  # once, and not for every picture
    if args.turns > 1:
        if not hasattr(pose, "n_turns"):
            raise InputError(f"--turns: expected 1 with {type(pose).__name__}, got {args.turns}.")
        pose.set_params(n_turns=args.turns)
    smoothing = None if args.smoothing == "none" else args.smoothing
    return HandTracker(pose=pose, fov=args.fov, max_hands=args.max_hands, smoothing=smoothing)


def find_inputs(words: Sequence[str], out: Path) -> list[_Input]:
    """Find what the words of the command line name, each once, in their order.

    Parameters
    ----------
    words : sequence of str
        Files, folders and cameras.
    out : Path
        The folder for the results, in which no pictures are looked for.

    Returns
    -------
    inputs : list of _Input

    Raises
    ------
    InputError
        If a folder has no pictures, is the one for the results, or a camera has no number.
    """
    found: list[tuple[Path | int, str, bool]] = []
    for word in words:
        path = Path(word).expanduser()
        if (word == "camera" or word.startswith("camera:")) and not path.exists():
            place = word.partition(":")[2] or "0"
            if not (place.isascii() and place.isdigit()):
                raise InputError(f"expected camera or camera:NUMBER, got {word!r}.")
            found.append((int(place), f"camera:{place}", True))
        elif out.resolve() in (path.resolve(), path.resolve().parent):  # whose table may be someone's labels
            raise InputError(f"--out: expected another folder than that of the pictures, got {out}.")
        elif path.is_dir():
            files = [Path(file) for file in list_pictures(path, below=True)]
            files = [file for file in files if out.resolve() not in file.resolve().parents]
            if not files:
                raise InputError(f"{path}: expected pictures in the folder, found none.")
            found += [(file, file.relative_to(path).as_posix(), False) for file in files]
        else:
            found.append((path, path.name, path.suffix.lower() in _VIDEOS))
    found = list({each[0]: each for each in found}.values())
    names = [name for _, name, _ in found]
    if len(set(names)) < len(names):  # of several folders
        sources = [str(source) for source, *_ in found if not isinstance(source, int)]
        common = os.path.commonpath([os.path.dirname(os.path.abspath(source)) for source in sources])
        names = [
            name if isinstance(source, int) else Path(os.path.relpath(source, common)).as_posix()
            for source, name, _ in found
        ]
    return [_Input(source, name, video) for (source, _, video), name in zip(found, names, strict=True)]


def _place_overlay(folder: Path, name: str, kept: tuple[str, ...], suffix: str) -> Path:
    """Return the overlay's file: named as the picture, in a format that can be written."""
    path = folder / name
    if path.suffix.lower() not in kept:
        path = path.with_name(path.name + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _write_hands(hands: Any, name: str, table: Any, out: Path, **more: Any) -> None:
    """Write the hands of one picture; the first ones make the folder."""
    if not table.begun:
        make_folder(out)
    table.write(**hands._columns([name] * len(hands)), **more)


def _predict_picture(each: _Input, tracker: Any, table: Any, out: Path, overlays: Path | None) -> int:
    """Predict one picture, write what is found, and return the number of hands."""
    hands = tracker.predict(each.source)
    _write_hands(hands, each.name, table, out)
    if overlays is not None:
        hands.draw().save(_place_overlay(overlays, each.name, _KEPT, ".png"), quality=90)
    return len(hands)


def _predict_video(
    each: _Input, tracker: Any, table: Any, out: Path, overlays: Path | None, n_frames: int | None
) -> int:
    """Follow the hands through one video, write what is found, and return the number of rows."""
    import numpy as np

    tracker.reset()
    n_hands = n_read = 0
    with ExitStack() as stack:
        video = stack.enter_context(VideoReader(each.source))
        expected = [n for n in (video.n_frames, n_frames) if n is not None]
        total = min(expected) if expected else None
        writer = None
        if overlays is not None:
            path = _place_overlay(overlays, each.name.replace(":", ""), (".mp4",), ".mp4")
            writer = stack.enter_context(VideoWriter(path, video.fps))
        for frame in progress(islice(video, n_frames), each.name, total=total, unit="frame"):
            hands = tracker.track(frame, n_read / video.fps)
            _write_hands(hands, each.name, table, out, frame=[n_read] * len(hands))
            if writer is not None:
                writer.write(np.asarray(hands.draw()))
            n_read, n_hands = n_read + 1, n_hands + len(hands)
    if n_read == 0:
        raise InputError(f"{each.name}: has no frame that can be read.")
    if total is not None and n_read < _ENOUGH * total - 1:
        raise InputError(f"{each.name}: only the first {n_read} of {total} frames could be read.")
    return n_hands
