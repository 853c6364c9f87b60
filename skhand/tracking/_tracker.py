"""HandTracker: whole pictures and videos in, hands in 3D out."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skhand._pictures import Picture, guess_camera, iterate_pictures, read_pictures
from skhand._validation import check_camera, check_number, check_option, check_side, describe
from skhand.detection import HandDetector
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import CameraError, InputError
from skhand.frames import HandFrames
from skhand.tracking._crops import Poses, can_judge, check_pose, judge_poses
from skhand.tracking._hands import Hands
from skhand.tracking._tracks import Detected, Track, Video, box_of
from skhand.training import resolve_precision

__all__ = ["HandTracker"]


class HandTracker(BaseEstimator):
    """Hands in photographs and videos: found, cropped, and answered in millimetres.

    ``predict`` takes each picture by itself. ``track`` takes the frames of a video one after the other and
    follows hands as Iqbal et al. [1]_ do: the crop follows from the pose in the frame before, and the
    detector runs when a hand is lost, and now and then to see whether another one has come.

    Nothing is fitted. The camera of a photograph is seldom known: it is taken from its EXIF focal length, or
    else guessed by ``fov``. Keypoints, sides and boxes need no camera; a wrong one changes the distance of
    the hand above all, and ``hands.rooted`` only a little.

    Parameters
    ----------
    detector : transformer or None, default=None
        Finds hands: ``transform([picture])`` returns a `HandFrames` with ``box`` and ``side``, and ``score``
        if it has one, one row a hand, or no rows. None is `skhand.detection.HandDetector`.
    pose : estimator or None, default=None
        A fitted estimator of absolute poses from colour crops. None is
        ``LatentHeatmapRegressor.from_pretrained()``, with ``predict_precision="bfloat16"`` where the hardware
        multiplies that natively.
    fov : float, degrees, default=60.0
        Angle of view along the picture's diagonal, where neither ``camera`` nor EXIF data tell. Main cameras
        of phones have about 80, webcams 55 to 80.
    camera : array-like of shape (3, 3) or None, px, default=None
        Intrinsics of all pictures, upright as they are seen.
    max_hands : int, default=2
        The surest so many hands of a picture are answered.
    side : {"auto", "pose", "detector"}, default="auto"
        What tells left from right. "pose": the pose network, which answers each new hand as both and keeps
        the side that gives sharper heatmaps and more plausible bones; it needs heatmaps. "detector": the
        detector. "auto" is "pose" for the library's own detector, whose sides are hardly better than chance,
        if the pose network can tell, and else "detector".
    smoothing : {None, "one_euro"}, default=None
        Whether ``track`` smooths joints and keypoints, by the One-Euro filter [2]_. Boxes follow from
        unsmoothed ones.
    min_cutoff : float, Hz, default=1.0
        Of the filter, for a hand at rest: lower is smoother and later.
    beta : float, default=5.0
        Rise of the cutoff, in Hz for each size of the hand a second: higher is prompter in fast motion.
    lost_below : float, default=0.5
        A hand is lost where the pose's score (see `Hands`) is below this, its centre leaves the picture, or
        its size jumps.
    detect_every : int, default=10
        Frames from one run of the detector to the next, which finds new hands and puts a crop that has slid
        off its hand back; a hand that it has not seen three times in a row is dropped. It also runs when a
        hand is lost, and in every frame while there is none.

    Attributes
    ----------
    detector_, pose_ : object
        What is used in place of None; made at first use.

    See Also
    --------
    skhand.detection.HandDetector : Boxes alone; also MediaPipe's.
    skhand.preprocessing.HandCropper : Crops of tables of pictures, for estimators.
    skhand.plotting.draw_hand : What ``hands.draw()`` calls.

    References
    ----------
    .. [1] U. Iqbal, P. Molchanov, T. Breuel, J. Gall, J. Kautz. Hand Pose Estimation via Latent 2.5D Heatmap
       Regression. ECCV 2018.
    .. [2] G. Casiez, N. Roussel, D. Vogel. 1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy
       Input in Interactive Systems. CHI 2012.

    Examples
    --------
    >>> from skhand import HandFrames
    >>> from skhand.datasets import make_hands
    >>> from skhand.estimators import LatentHeatmapRegressor
    >>> from skhand.tracking import HandTracker
    >>> hands = make_hands(16, image_size=32, random_state=0)
    >>> pose = LatentHeatmapRegressor(width=8, max_epochs=1, random_state=0).fit(hands.data, hands.target)
    >>> class Middle:  # a detector that always sees a hand in the middle
    ...     def transform(self, pictures):
    ...         height, width = pictures[0].shape[:2]
    ...         return HandFrames(box=[[width / 4, height / 4, width / 2, height / 2]], side="right")
    >>> found = HandTracker(Middle(), pose).predict(hands.data.rgb[:3])
    >>> found.joints.shape, found.picture.tolist()
    ((3, 21, 3), [0, 1, 2])
    >>> found.draw(picture=1).size
    (32, 32)
    """

    def __init__(
        self,
        detector: Any = None,
        pose: Any = None,
        *,
        fov: float = 60.0,
        camera: Any = None,
        max_hands: int = 2,
        side: str = "auto",
        smoothing: str | None = None,
        min_cutoff: float = 1.0,
        beta: float = 5.0,
        lost_below: float = 0.5,
        detect_every: int = 10,
    ):
        self.detector = detector
        self.pose = pose
        self.fov = fov
        self.camera = camera
        self.max_hands = max_hands
        self.side = side
        self.smoothing = smoothing
        self.min_cutoff = min_cutoff
        self.beta = beta
        self.lost_below = lost_below
        self.detect_every = detect_every

    def predict(self, pictures: Any) -> Hands:
        """Find the hands of each picture.

        Parameters
        ----------
        pictures : str, path, PIL picture, ndarray, list of these, ImageFiles or HandFrames
            One picture or several, of any sizes. Arrays are (height, width, 3) or (n, height, width, 3), RGB,
            uint8 or floats in 0 to 1. Files and PIL pictures are turned upright by their EXIF orientation.
            Of a HandFrames ``rgb`` is taken, and ``camera`` where it is known.

        Returns
        -------
        hands : Hands
            In the order of the pictures; of no length where there are none.

        Raises
        ------
        InputError
            If a picture cannot be read, or a parameter is not what was expected.
        """
        self._check()
        judges = self._judges()
        cameras = pictures.camera if isinstance(pictures, HandFrames) else None
        parts, sources = [], []
        for i, picture in enumerate(iterate_pictures(pictures, "pictures")):
            camera, source = self._find_camera(picture, None if cameras is None else cameras[i])
            found = self._detect(picture.pixels)
            votes, fresh = np.where(found.side == "left", -1.0, 1.0), np.full(len(found.side), judges)
            votes[fresh] = 0.0
            poses, votes = judge_poses(self.pose_, picture.pixels, found.box, votes, fresh, camera)
            side = np.where(votes >= 0, "right", "left")
            parts.append(_Part(poses.joints, poses.keypoints, side, found.score, found.box, camera, source))
            sources.append(picture.path or picture.pixels)
        return _join(parts, sources)

    def track(self, frame: Any, time: float | None = None) -> Hands:
        """Follow the hands into the next frame of a video.

        Parameters
        ----------
        frame : ndarray of shape (height, width, 3), path or PIL picture
            The next frame, RGB.
        time : float or None, s, default=None
            When it was taken; None is a thirtieth of a second after the one before.

        Returns
        -------
        hands : Hands
            With ``ids``, by which hands are told apart from frame to frame. An array given as the frame is
            kept for ``draw``, not copied.

        Raises
        ------
        InputError
            If the frame is not one picture, time does not go on, or a parameter is not what was expected.
        """
        self._check()
        pictures = read_pictures(frame, "frame")
        if len(pictures) != 1:
            raise InputError(f"frame: expected one picture, got {len(pictures)}; see predict_video.")
        video, judges = self.__dict__.setdefault("_video", Video()), self._judges()
        video.detector_votes = not judges
        elapsed = video.take_time(time)
        camera, source = self._find_camera(pictures[0], None)
        pixels = pictures[0].pixels

        def answer(boxes: np.ndarray, votes: np.ndarray, fresh: np.ndarray) -> tuple[Poses, np.ndarray]:
            return judge_poses(self.pose_, pixels, boxes, votes, fresh & judges, camera)

        looked = not video.tracks or (video.n_frames - 1) % self.detect_every == 0
        if looked:
            video.update(self._detect(pixels), self.max_hands)
        n_before = len(video.tracks)
        found = video.follow(video.tracks, answer, camera, pixels.shape[:2], self.lost_below)
        if len(found) < n_before and not looked:
            fresh = video.begin(self._detect(pixels), self.max_hands - len(found))
            found += video.follow(fresh, answer, camera, pixels.shape[:2], self.lost_below)
        return self._report(video.tracks, found, pictures[0], camera, source, elapsed)

    def predict_video(self, frames: Iterable[Any], fps: float = 30.0) -> Iterator[Hands]:
        """Follow the hands through a video, from its first frame on.

        Parameters
        ----------
        frames : iterable of ndarray, path or PIL picture
            The frames in order, for example of ``imageio.v3.imiter("video.mp4")``; each is read when its turn
            has come.
        fps : float, Hz, default=30.0
            Frames a second.

        Yields
        ------
        hands : Hands
            Of each frame, as from ``track``.

        Raises
        ------
        InputError
            If ``frames`` are none, or as ``track`` does.
        """
        check_number(fps, "fps", low=0, include_low=False)
        if isinstance(frames, str | os.PathLike) or not hasattr(frames, "__iter__"):
            raise InputError(
                f"frames: expected an iterable of pictures, got {describe(frames)}. Read a video file by "
                'imageio, for example: frames=imageio.v3.imiter("video.mp4").'
            )
        self.reset()
        for i, frame in enumerate(frames):
            yield self.track(frame, i / fps)

    def reset(self) -> None:
        """Forget all hands: the next frame of ``track`` begins another video."""
        self.__dict__.pop("_video", None)

    # ------------------------------------------------------------------ inside

    def _check(self) -> None:
        """Validate the parameters, and make what is None."""
        check_number(self.fov, "fov", low=0, high=179, include_low=False)
        check_number(self.max_hands, "max_hands", integer=True, low=1)
        check_number(self.detect_every, "detect_every", integer=True, low=1)
        check_number(self.lost_below, "lost_below", low=0, high=1)
        check_number(self.min_cutoff, "min_cutoff", low=0, include_low=False)
        check_number(self.beta, "beta", low=0)
        check_option(self.smoothing, "smoothing", (None, "one_euro"))
        check_option(self.side, "side", ("auto", "pose", "detector"))
        if self.camera is not None and check_camera(self.camera).shape != (3, 3):
            raise CameraError(
                f"camera: expected one matrix (3, 3) for all pictures, got {describe(self.camera)}."
            )
        if self.detector is not None:
            if not hasattr(self.detector, "transform"):
                raise InputError(f"detector: expected one with transform, got {describe(self.detector)}.")
            self.detector_, self._made_for = self.detector, None
        elif vars(self).get("_made_for") != self.max_hands:
            self.detector_ = HandDetector(max_hands=self.max_hands)
            self._made_for = self.max_hands
        if self.pose is not None:
            self.pose_, self._pretrained = self.pose, False
        elif not vars(self).get("_pretrained"):
            self.pose_, self._pretrained = LatentHeatmapRegressor.from_pretrained(), True
            if resolve_precision("auto", self.pose_.device_) == torch.bfloat16:
                self.pose_.set_params(predict_precision="bfloat16")
        check_pose(self.pose_)
        if self.side == "pose" and not can_judge(self.pose_):
            raise InputError(
                'side: "pose" needs a pose network with heatmaps; use "detector", or heatmap="latent".'
            )

    def _judges(self) -> bool:
        """Return whether the pose network tells the side."""
        if self.side != "auto":
            return self.side == "pose"
        own = isinstance(self.detector_, HandDetector)
        own = own and getattr(self.detector_, "detector", None) == "skhand"
        return own and can_judge(self.pose_)

    def _find_camera(self, picture: Picture, own: np.ndarray | None) -> tuple[np.ndarray, str]:
        """Return a picture's intrinsics (3, 3), px, and where they come from."""
        if own is not None and np.isfinite(own).all():
            return own, "given"
        if self.camera is not None:
            return np.asarray(self.camera, dtype=np.float64), "given"
        source = "field of view" if picture.focal is None else "exif"
        return guess_camera(picture, self.fov), source

    def _detect(self, pixels: np.ndarray) -> Detected:
        """Return the surest hands of a picture."""
        found = self.detector_.transform([pixels])
        if found is None or len(found) == 0:
            return Detected(np.empty((0, 4)), np.empty(0, "U5"), np.empty(0))
        missing = {"box", "side"} - set(getattr(found, "columns", ()))
        if missing:
            raise InputError(
                f"detector: expected a HandFrames with box and side, got {describe(found)} without "
                f"{' and '.join(sorted(missing))}."
            )
        box = np.asarray(found.box, dtype=np.float64)
        score = np.ones(len(box)) if found.score is None else np.asarray(found.score, dtype=np.float64)
        usable = np.asarray(np.isfinite(box).all(axis=1) & (box[:, 2:] > 0).all(axis=1))
        rows = np.argsort(-score, kind="stable")
        rows = rows[usable[rows]][: self.max_hands]
        return Detected(box[rows], check_side(found.side)[rows], score[rows])

    def _report(
        self,
        tracks: list[Track],
        poses: list[Poses],
        picture: Picture,
        camera: np.ndarray,
        source: str,
        elapsed: float,
    ) -> Hands:
        """Return the hands of a frame, smoothed if that is wanted."""
        joints, keypoints = np.empty((len(tracks), 21, 3)), np.empty((len(tracks), 21, 2))
        for i, (track, pose) in enumerate(zip(tracks, poses, strict=True)):
            joints[i], keypoints[i] = pose.joints, pose.keypoints
            if self.smoothing is not None:
                settings = (self.min_cutoff, self.beta)
                joints[i], keypoints[i] = track.smooth(joints[i], keypoints[i], camera, elapsed, settings)
        score = np.array([pose.score for pose in poses], dtype=np.float64)
        part = _Part(
            joints,
            keypoints,
            np.array([track.side for track in tracks], dtype="U5"),
            score,
            box_of(joints, keypoints, camera),
            camera,
            source,
        )
        ids = np.array([track.number for track in tracks], dtype=int)
        return _join([part], [picture.path or picture.pixels], ids)


class _Part(NamedTuple):
    """The hands of one picture: the columns of `Hands`, and the picture's camera (3, 3) and its source."""

    joints: np.ndarray
    keypoints: np.ndarray
    side: np.ndarray
    score: np.ndarray
    box: np.ndarray
    camera: np.ndarray
    source: str


def _join(parts: list[_Part], pictures: list[Any], ids: np.ndarray | None = None) -> Hands:
    """Return the hands of all pictures."""
    counts = [len(part.joints) for part in parts]
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _Part._fields[:5]}
    return Hands(
        **columns,
        picture=np.repeat(np.arange(len(parts)), counts),
        camera=np.repeat(np.stack([part.camera for part in parts]), counts, axis=0),
        camera_source=np.repeat(np.array([part.source for part in parts]), counts),
        ids=ids,
        pictures=tuple(pictures),
    )
