"""Memory of each hand of a video, and which boxes are of one hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skhand._validation import LARGEST_FLOAT, check_number
from skhand.geometry import backproject
from skhand.skeleton import root_position
from skhand.tracking._crops import Poses
from skhand.tracking._one_euro import OneEuro

__all__ = ["Detected", "Track", "Video", "box_of", "overlap"]

_SAME = 0.3  # overlap from which two boxes are of one hand
_SLID = 0.5  # overlap below which the detector's box is the better one
_UNSEEN = 3  # runs of the detector that a track outlives without being seen
_TWICE = 0.6  # overlap from which two tracks follow one hand
_KEEP = 30  # frames that a lost hand's identity is kept for
_SKIN = 8.0  # mm from a joint to the edge of the hand
_FRAME = 1 / 30  # s, between two frames whose times are not known


class Detected(NamedTuple):
    """Boxes (n, 4), px, sides (n,) and scores (n,), the surest first."""

    box: np.ndarray
    side: np.ndarray
    score: np.ndarray


class Track:
    """One hand of a video.

    Parameters
    ----------
    number : int
        Its identity; -1 until it is found.
    box : ndarray of shape (4,), px
        Where it is looked for in the next frame.

    Attributes
    ----------
    votes : float
        What is known of the side: above 0, or 0, right; below, left.
    fresh : bool
        Whether it was found, or found again, in this frame.
    """

    def __init__(self, number: int, box: np.ndarray):
        self.number, self.box, self.n_unseen = number, box, 0
        self.votes, self.fresh = 0.0, True
        self.filters: tuple[OneEuro, OneEuro] | None = None

    @property
    def side(self) -> str:
        """The side that the votes tell."""
        return "right" if self.votes >= 0 else "left"

    def vote(self, side: str, score: float) -> None:
        """Take another detection's side into account, with its score."""
        self.votes += score if side == "right" else -score

    def is_plausible(self, box: np.ndarray, size: tuple[int, ...]) -> bool:
        """Tell whether a box (px) can be the hand's next one in a picture of this height and width.

        Its centre is in the picture, and within one frame no hand becomes two and a half times as large or
        as small, or a speck.
        """
        centre, longer = box[:2] + box[2:] / 2, box[2:].max()
        inside = (centre >= -0.5).all() and (centre <= np.array([size[1], size[0]]) - 0.5).all()
        ratio = longer / self.box[2:].max()
        return bool(np.isfinite(box).all() and inside and 0.4 < ratio < 2.5 and longer >= 8)

    def smooth(
        self,
        joints: np.ndarray,
        keypoints: np.ndarray,
        camera: np.ndarray,
        elapsed: float,
        settings: tuple[float, float],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Filter joints (21, 3), mm, and keypoints (21, 2), px.

        Places in the picture, depths relative to the palm and the palm's depth are filtered apart, so that
        the noise of the distance does not shake the fingers. Speeds count in sizes of the hand.
        """
        if self.filters is None:
            self.filters = (OneEuro(*settings), OneEuro(*settings))
        depth = float(root_position(joints, "palm")[2])
        size = max(float(box_of(joints, keypoints, camera)[2:].max()), 1.0)
        unit = size * depth / camera[0, 0]  # mm
        places = np.column_stack([keypoints, joints[:, 2] - depth])
        smooth = self.filters[0](places, elapsed, np.array([size, size, unit]))
        near = self.filters[1](np.array([depth]), elapsed, unit)[0]
        return backproject(smooth[:, :2], near + smooth[:, 2], camera), smooth[:, :2]


class Video:
    """Knowledge of a video so far.

    Parameters
    ----------
    detector_votes : bool, default=True
        Whether detections tell the sides of hands.

    Attributes
    ----------
    tracks : list of Track
        The hands of the last frame.
    n_frames : int
        How many frames have come.
    """

    def __init__(self, detector_votes: bool = True) -> None:
        self.detector_votes = detector_votes
        self.tracks: list[Track] = []
        self.n_frames = 0
        self._time = -_FRAME
        self._lost: list[tuple[Track, int]] = []  # each with the frame that it was lost in
        self._n_numbers = 0

    def take_time(self, time: float | None) -> float:
        """Begin the next frame; return the seconds since the one before.

        Raises
        ------
        InputError
            If ``time`` (s) is not later than the frame before.
        """
        if time is None:
            time = self._time + _FRAME
        elif self.n_frames:
            check_number(time, "time", low=self._time, high=LARGEST_FLOAT, include_low=False)
        else:
            check_number(time, "time", high=LARGEST_FLOAT)
        elapsed = time - self._time if self.n_frames else _FRAME
        self._time = time
        self.n_frames += 1
        return elapsed

    def follow(
        self,
        tracks: list[Track],
        answer: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[Poses, np.ndarray]],
        camera: np.ndarray,
        size: tuple[int, ...],
        lost_below: float,
    ) -> list[Poses]:
        """Look for hands where their tracks say; those that are found are the ends of ``self.tracks``.

        Parameters
        ----------
        tracks : list of Track
            Those of the frame before, ``self.tracks`` itself, or new ones.
        answer : callable
            Of boxes (n, 4), px, the sides' votes (n,) and which hands are fresh (n,), returns their poses,
            and the votes after it has seen them.
        camera : ndarray of shape (3, 3), px
            Of the picture.
        size : tuple of int
            Height and width of the picture, px.
        lost_below : float
            Least score of a pose.

        Returns
        -------
        poses : list of Poses
            One for each hand that was found.
        """
        others = [] if tracks is self.tracks else self.tracks
        boxes = np.array([track.box for track in tracks]).reshape(-1, 4)
        votes, fresh = np.array([track.votes for track in tracks]), [track.fresh for track in tracks]
        poses, votes = answer(boxes, votes, np.array(fresh, dtype=bool))
        found = []
        kept = list(others)
        for i, track in enumerate(tracks):
            track.votes, track.fresh = float(votes[i]), False
            box = box_of(poses.joints[i], poses.keypoints[i], camera)
            twice = len(kept) > 0 and overlap(box, _boxes(kept)).max() > _TWICE
            if poses.score[i] >= lost_below and track.is_plausible(box, size) and not twice:
                track.box = box
                if track.number < 0:
                    track.number, self._n_numbers = self._n_numbers, self._n_numbers + 1
                kept.append(track)
                found.append(Poses(*(part[i] for part in poses)))
            elif track.number >= 0:
                self._lost.append((track, self.n_frames))
        self.tracks = kept
        self._lost = [pair for pair in self._lost if self.n_frames - pair[1] < _KEEP and pair[0] not in kept]
        return found

    def update(self, detected: Detected, max_hands: int) -> None:
        """Let the detector correct the tracks, before they are followed into the frame that it has seen.

        A box that only just overlaps its track takes the track's place; a hand that no track is near takes
        the place of a track that it did not see where there is no room, and tracks that it has not seen for
        long go.
        """
        seen = [overlap(track.box, detected.box).max(initial=0.0) > _SAME for track in self.tracks]
        for track, is_seen in zip(self.tracks, seen, strict=True):
            track.n_unseen = 0 if is_seen else track.n_unseen + 1
        new = sum(overlap(box, _boxes(self.tracks)).max(initial=0.0) <= _SAME for box in detected.box)
        crowd = len(self.tracks) + new - max_hands
        for track in sorted(self.tracks, key=lambda track: -track.n_unseen):
            if track.n_unseen >= _UNSEEN or (track.n_unseen and crowd > 0):
                crowd -= 1
                self.tracks.remove(track)
                self._lost.append((track, self.n_frames))
        self.tracks = self.tracks + self.begin(detected, max_hands - len(self.tracks))

    def begin(self, detected: Detected, room: int) -> list[Track]:
        """Return tracks of detected hands that are not followed yet, at most ``room`` of them.

        One near the place where a hand was lost is that hand again.
        """
        fresh: list[Track] = []
        for box, side, score in zip(*detected, strict=True):
            known = self.tracks + fresh
            shares = overlap(box, _boxes(known))
            if len(known) and shares.max() > _SAME:
                track = known[int(shares.argmax())]
                if self.detector_votes:
                    track.vote(side, score)
                if shares.max() < _SLID:
                    track.box = box
            elif len(fresh) < room:
                again = self._find_lost(box)
                track = Track(-1, box) if again is None else again
                if self.detector_votes and again is None:
                    track.vote(side, score)
                track.box, track.n_unseen, track.fresh = box, 0, True
                fresh.append(track)
        return fresh

    def _find_lost(self, box: np.ndarray) -> Track | None:
        """Return the lost hand that a box is of, which is no longer counted as lost."""
        for i, (track, _) in enumerate(self._lost):
            apart = np.linalg.norm(box[:2] + box[2:] / 2 - track.box[:2] - track.box[2:] / 2)
            if apart < max(box[2:].max(), track.box[2:].max()):
                track.filters = None
                return self._lost.pop(i)[0]
        return None


def _boxes(tracks: list[Track]) -> np.ndarray:
    return np.array([track.box for track in tracks]).reshape(-1, 4)


def box_of(joints: np.ndarray, keypoints: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Return the hand's box as `make_hands` has it: the joints', 8 mm wider on each side.

    Parameters
    ----------
    joints : ndarray of shape (..., 21, 3), mm
        Their depth says how large a millimetre is.
    keypoints : ndarray of shape (..., 21, 2), px
        The same in the picture.
    camera : ndarray of shape (3, 3), px
        Of the picture.

    Returns
    -------
    box : ndarray of shape (..., 4), px
        x, y, width, height.
    """
    depth = np.maximum(root_position(joints, "palm")[..., 2:], 1.0)
    skin = _SKIN * np.array([camera[0, 0], camera[1, 1]]) / depth
    low, high = keypoints.min(axis=-2) - skin, keypoints.max(axis=-2) + skin
    return np.concatenate([low, high - low], axis=-1)


def overlap(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of a box (4,) with others (n, 4)."""
    low = np.maximum(box[:2], others[:, :2])
    high = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    return common / np.maximum(box[2:].prod() + others[:, 2:].prod(axis=1) - common, 1e-12)
