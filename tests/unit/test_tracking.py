"""HandTracker on drawn scenes, whose hands are disks: what is found, where it lies, and what is lost.

The detector and the pose network are stand-ins that look at the pixels, so that crops, cameras, the order of
calls and identities are those of the tracker alone. Red disks are left hands, green ones right.
"""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from PIL import Image

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import CameraError, InputError
from skhand.geometry import project
from skhand.preprocessing import HandCropper
from skhand.skeleton import JOINTS, root_position
from skhand.tracking import HandTracker
from skhand.tracking._crops import crop_hands

SIZE_MM = 160.0  # of a disk
CAMERA = np.array([[300.0, 0.0, 80.0], [0.0, 300.0, 60.0], [0.0, 0.0, 1.0]])
COLOURS = {"left": (255, 0, 0), "right": (0, 255, 0)}
# 21 points on a circle, the palm's two ends opposite to each other, as shares of its diameter
ANGLES = np.linspace(0, 2 * np.pi, len(JOINTS), endpoint=False)
SHAPE = np.column_stack([np.cos(ANGLES) / 2, np.sin(ANGLES) / 2, 0 * ANGLES])


def scene(*disks, size=(120, 160)):
    """A dark picture with disks of (side, x, y, diameter), px."""
    y, x = np.mgrid[: size[0], : size[1]]
    picture = np.full((*size, 3), 20, np.uint8)
    for side, u, v, diameter in disks:
        picture[np.hypot(x - u, y - v) <= diameter / 2] = COLOURS[side]
    return picture


def extent(mask):
    """Box of a mask, px at pixel centres; None of an empty one."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return [columns[0], rows[0], columns[-1] - columns[0], rows[-1] - rows[0]]


class Detector:
    """Sees one disk of each colour, and counts how often it is asked."""

    def __init__(self):
        self.n_calls = 0

    def transform(self, pictures):
        self.n_calls += 1
        (picture,) = pictures
        boxes = {side: extent(picture[..., channel] > 200) for channel, side in enumerate(("left", "right"))}
        seen = {side: box for side, box in boxes.items() if box is not None and max(box[2:]) > 6}
        score = [0.9 if side == "right" else 0.8 for side in seen]
        box = np.array(list(seen.values()), dtype=float).reshape(-1, 4)
        return HandFrames(box=box, side=np.array(list(seen), dtype="U5"), score=np.array(score))


class Pose:
    """Answers with points of a circle around the bright pixels of a crop, as its camera sees it."""

    input_shape_, given_, heatmap = (64, 64, 3), (), "latent"
    device_, predict_precision = torch.device("cpu"), "float32"

    def set_params(self, predict_precision):
        self.predict_precision = predict_precision
        return self

    def predict(self, X, return_std=False):
        joints, std = np.full((2, len(X), 21, 3), 1e3)
        for i, (picture, camera, side) in enumerate(zip(X.rgb, X.camera, X.side, strict=True)):
            box = extent(picture[..., 0 if side == "left" else 1] > 120)
            joints[i] = [0, 0, 500] + SHAPE * 50
            if box is not None:
                diameter = max(box[2:]) + 1.0
                depth = camera[0, 0] * SIZE_MM / diameter
                centre = np.array([box[0] + box[2] / 2, box[1] + box[3] / 2, 1.0])
                joints[i] = np.linalg.inv(camera) @ centre * depth + SHAPE * SIZE_MM
                std[i] = 1.0
        return (joints, std) if return_std else joints


def tracker(**settings):
    return HandTracker(Detector(), Pose(), **{"camera": CAMERA, **settings})


def centres(hands):
    return hands.box[:, :2] + hands.box[:, 2:] / 2


# ------------------------------------------------------------------------------------------ single pictures


def test_hands_are_found_where_they_are_and_as_far_away_as_they_look():
    pictures = [
        scene(),
        scene(("left", 50, 40, 40)),
        scene(("left", 40, 60, 30), ("right", 110, 50, 48)),
    ]
    hands = tracker().predict(pictures)
    assert hands.picture.tolist() == [1, 2, 2] and len(hands) == 3
    assert hands.side.tolist() == ["left", "right", "left"]  # the surest of a picture first
    np.testing.assert_allclose(hands.score, [0.8, 0.9, 0.8])
    middle = hands.keypoints.mean(axis=1)
    np.testing.assert_allclose(middle, [[50, 40], [110, 50], [40, 60]], atol=0.8)
    np.testing.assert_allclose(hands.joints[:, 0, 2], 300 * SIZE_MM / np.array([41, 49, 31]), rtol=0.04)
    np.testing.assert_allclose(hands.keypoints, project(hands.joints, CAMERA))
    np.testing.assert_allclose(root_position(hands.rooted), 0, atol=1e-9)
    assert set(hands.camera_source) == {"given"} and hands.ids is None
    assert repr(hands) == "3 hands in 3 pictures: left, right, left"


def test_rows_can_be_taken_and_none_may_be_left():
    hands = tracker().predict([scene(), scene(("left", 40, 60, 30), ("right", 110, 50, 48))])
    left = hands[hands.side == "left"]
    assert len(left) == 1 and left.side.tolist() == ["left"] and left.camera.shape == (1, 3, 3)
    np.testing.assert_array_equal(left.joints[0], hands[1].joints[0])
    none = tracker().predict(scene())
    shapes = (none.joints.shape, none.keypoints.shape, none.box.shape, none.camera.shape, none.rooted.shape)
    assert shapes == ((0, 21, 3), (0, 21, 2), (0, 4), (0, 3, 3), (0, 21, 3))
    np.testing.assert_array_equal(np.asarray(none.draw()), scene())


def test_only_the_surest_hands_are_answered():
    picture = scene(("left", 40, 60, 30), ("right", 110, 50, 48))
    assert tracker(max_hands=1).predict(picture).side.tolist() == ["right"]


def test_drawing_marks_the_hand_and_leaves_the_rest(tmp_path):
    pictures = [scene(("left", 50, 40, 40)), scene(("right", 100, 60, 40))]
    Image.fromarray(pictures[1]).save(tmp_path / "p.png")
    hands = tracker().predict([pictures[0], tmp_path / "p.png"])
    for i, picture in enumerate(pictures):
        changed = (np.asarray(hands.draw(picture=i)) != picture).any(axis=2)
        assert np.abs(np.array(extent(changed)) - hands.box[i]).max() < 6
    with pytest.raises(InputError, match="picture: expected the index of one of 2 pictures"):
        hands.draw()
    with pytest.raises(InputError, match="picture: expected an integer"):
        hands.draw(picture=2)


def test_the_camera_is_given_or_read_or_guessed(tmp_path):
    picture = scene(("left", 50, 40, 40))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 43
    Image.fromarray(picture).save(tmp_path / "p.jpg", exif=exif.tobytes(), quality=95)
    guess = HandTracker(Detector(), Pose(), fov=90.0)
    hands = guess.predict([tmp_path / "p.jpg", picture])
    assert hands.camera_source.tolist() == ["exif", "field of view"]
    np.testing.assert_allclose(hands.camera[:, 0, 0], [43 / 43.2666 * 200, 100], rtol=1e-4)
    np.testing.assert_allclose(hands.keypoints[0], hands.keypoints[1], atol=1.5)
    table = HandFrames(rgb=np.stack([picture] * 2), camera=np.stack([CAMERA, np.full((3, 3), np.nan)]))
    assert guess.predict(table).camera_source.tolist() == ["given", "field of view"]
    assert tracker().predict(tmp_path / "p.jpg").camera_source.tolist() == ["given"]


def test_gray_pictures_are_pictures_too():
    class Always(Detector):
        def transform(self, pictures):
            assert pictures[0].shape == (120, 160, 3)
            return HandFrames(box=[[30.0, 20.0, 40.0, 40.0]], side="left")

    hands = HandTracker(Always(), Pose()).predict(scene(("left", 50, 40, 40))[..., 0])
    assert hands.score.tolist() == [1.0] and len(hands) == 1


def test_crops_are_those_of_the_cropper(rng):
    picture = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    boxes = np.array([[30.2, 20, 60, 41.7], [-10, 80, 50, 60], [100, 10, 8, 9]])
    sides = np.array(["left", "right", "left"])
    crops = crop_hands(picture, boxes, sides, CAMERA, (48, 48))
    frames = HandFrames(rgb=np.stack([picture] * 3), box=boxes, camera=CAMERA, side=sides)
    expected = HandCropper(48).transform(frames)
    for name in ("rgb", "camera", "affine", "side"):
        np.testing.assert_array_equal(getattr(crops, name), getattr(expected, name))


# -------------------------------------------------------------------------------------------------- videos


def test_a_hand_is_followed_while_the_detector_rests():
    follow = tracker(max_hands=1, detect_every=100)
    for k in range(40):
        u, v = 80 + 45 * np.cos(k / 12), 60 + 30 * np.sin(k / 12)
        hands = follow.track(scene(("left", u, v, 34 + k / 4)))
        assert hands.ids.tolist() == [0] and hands.side.tolist() == ["left"]
        np.testing.assert_allclose(centres(hands)[0], [u, v], atol=1.5)
    assert follow.detector.n_calls == 1


def test_the_detector_looks_for_more_hands_now_and_then():
    follow = tracker(max_hands=2, detect_every=5)
    for k in range(20):
        disks = [("left", 40, 60, 30)] + [("right", 110, 50, 40)] * (k >= 7)
        ids = follow.track(scene(*disks)).ids.tolist()
        assert ids == ([0, 1] if k >= 10 else [0])
    assert follow.detector.n_calls == 4  # frames 0, 5, 10 and 15


def test_a_crop_that_slid_off_is_put_back_and_an_unseen_hand_dropped():
    class Sure(Pose):  # of whatever it is shown
        def predict(self, X, return_std=False):
            joints, std = super().predict(X, True)
            return joints, 0 * std

    follow = HandTracker(Detector(), Sure(), camera=CAMERA, max_hands=1, detect_every=4)
    follow.track(scene(("left", 40, 60, 30)))
    track = follow._video.tracks[0]
    track.box = track.box + [70, 0, 0, 0]
    places = [centres(follow.track(scene(("left", 40, 60, 30))))[0, 0] for _ in range(6)]
    assert min(places[:3]) > 60 and np.ptp(places[4:]) < 1 and abs(places[-1] - 40) < 1.5
    counts = [len(follow.track(scene())) for _ in range(14)]
    assert counts[0] == 1 and counts[-1] == 0


def test_a_lost_hand_is_found_again_with_its_identity_or_forgotten():
    follow = tracker(max_hands=1)
    here, there = ("left", 40, 60, 30), ("right", 120, 60, 30)
    frames = [here] * 3 + [None] * 4 + [here] * 2 + [None] * 40 + [here] + [None] + [there]
    ids = [follow.track(scene(*([disk] if disk else []))).ids.tolist() for disk in frames]
    assert ids == [[0]] * 3 + [[]] * 4 + [[0]] * 2 + [[]] * 40 + [[1], [], [2]]


def test_a_hand_that_jumps_is_lost_and_found_in_one_frame():
    follow = tracker(max_hands=1)
    follow.track(scene(("left", 30, 60, 30)))
    hands = follow.track(scene(("left", 130, 60, 30)))
    np.testing.assert_allclose(centres(hands)[0], [130, 60], atol=1.5)
    assert follow.detector.n_calls == 2


def test_two_tracks_that_meet_become_one():
    class Twice(Detector):
        def transform(self, pictures):
            found = super().transform(pictures)
            if self.n_calls > 1:
                return found
            moved = np.concatenate([found.box, found.box + [24, 0, 0, 0]])
            return HandFrames(box=moved, side="left", score=[0.9, 0.8])

    hands = HandTracker(Twice(), Pose(), camera=CAMERA).track(scene(("left", 50, 60, 40)))
    assert hands.ids.tolist() == [0]


def test_a_hand_that_leaves_the_picture_is_lost():
    follow = tracker(max_hands=1)
    counts = [len(follow.track(scene(("left", 80 - 6 * k, 60, 40)))) for k in range(20)]
    assert counts[:12] == [1] * 12 and counts[-1] == 0


def test_videos_begin_anew_and_answer_frame_by_frame(tmp_path):
    follow = tracker(max_hands=1)
    Image.fromarray(scene(("left", 60, 60, 40))).save(tmp_path / "p.png")
    for _ in range(2):
        frames = follow.predict_video(iter([tmp_path / "p.png", scene(("left", 62, 60, 40))]))
        assert [hands.ids.tolist() for hands in frames] == [[0], [0]]
    assert follow.detector.n_calls == 2
    assert follow.track(scene(("left", 64, 60, 40))).draw().size == (160, 120)


def test_one_euro_calms_a_still_hand_and_keeps_up_with_a_moving_one(rng):
    class Shaky(Pose):
        def predict(self, X, return_std=False):
            joints, std = super().predict(X, True)
            away = 1 + 0.05 * noise.normal(size=(len(X), 1, 1))  # the distance is the shakiest of all
            return joints * away + noise.normal(size=joints.shape), std

    def follow(places, **settings):
        nonlocal noise
        noise = np.random.default_rng(0)
        shaky = HandTracker(Detector(), Shaky(), camera=CAMERA, max_hands=1, **settings)
        return [shaky.track(scene(("left", u, 60, 40))) for u in places]

    noise = rng
    still, settings = [60] * 60, {"smoothing": "one_euro", "min_cutoff": 0.5}
    plain, smooth = (follow(still, **each)[20:] for each in ({}, {**settings, "beta": 0.0}))
    for name in ("keypoints", "joints"):
        shakes = [
            np.std([getattr(hands, name)[0] for hands in run], axis=0).mean() for run in (plain, smooth)
        ]
        assert shakes[1] < 0.5 * shakes[0], name
    np.testing.assert_allclose(smooth[-1].keypoints, project(smooth[-1].joints, CAMERA), atol=1e-6)
    moving = [25 + 3 * k for k in range(35)]
    last = follow(moving, **settings)[-1]
    assert abs(centres(last)[0, 0] - moving[-1]) < 4


# ------------------------------------------------------------------------------------------- left or right


class Wrong(Detector):
    """Names the sides the wrong way round."""

    def transform(self, pictures):
        found = super().transform(pictures)
        return found.replace(side=np.where(found.side == "left", "right", "left").astype("U5"))


class Counting(Pose):
    def __init__(self):
        self.n_rows = []

    def predict(self, X, return_std=False):
        self.n_rows.append(len(X))
        return super().predict(X, return_std)


@pytest.mark.parametrize("bones", [None, np.linalg.norm(np.diff(SHAPE, axis=0), axis=1) + 0.1])
def test_the_pose_network_tells_the_sides(bones):
    pose = Counting()
    pose.mean_bones_ = bones
    judged = HandTracker(Wrong(), pose, camera=CAMERA, side="pose")
    picture = scene(("left", 40, 60, 30), ("right", 110, 50, 48))
    hands = judged.predict([picture, scene()])
    assert pose.n_rows == [4]
    assert hands.side.tolist() == ["right", "left"]
    one_by_one = tracker().predict(picture)
    np.testing.assert_allclose(hands.keypoints, one_by_one.keypoints)
    np.testing.assert_allclose(hands.joints, one_by_one.joints)
    for own in ({}, {"side": "detector"}):  # another detector than the library's is believed
        hands = HandTracker(Wrong(), Pose(), camera=CAMERA, **own).predict(picture)
        assert hands.side.tolist() == ["left", "right"]


def test_sides_are_judged_once_for_each_hand_that_comes():
    pose = Counting()
    judged = HandTracker(Wrong(), pose, camera=CAMERA, side="pose", detect_every=3)
    disks = [("left", 40, 60, 30), ("right", 110, 60, 30)]
    for k in range(9):
        hands = judged.track(scene(*(disks[:1] if k < 4 else disks)))
    assert sorted(hands.side) == ["left", "right"]
    assert pose.n_rows == [2, 1, 1, 1, 1, 1, 3, 2, 2]


def test_only_heatmaps_tell_sides():
    class Holistic(Pose):
        heatmap = "holistic"

    with pytest.raises(InputError, match=r"^side: .*heatmaps"):
        HandTracker(Detector(), Holistic(), side="pose").predict(scene())
    assert len(HandTracker(Detector(), Holistic()).predict(scene(("left", 40, 60, 30)))) == 1


# -------------------------------------------------------------------------------------- parameters and errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fov": 180}, "fov"),
        ({"fov": np.nan}, "fov"),
        ({"max_hands": 0}, "max_hands"),
        ({"smoothing": "kalman"}, "smoothing"),
        ({"side": "left"}, "side"),
        ({"min_cutoff": 0}, "min_cutoff"),
        ({"beta": -1}, "beta"),
        ({"lost_below": 2}, "lost_below"),
        ({"detect_every": 0.5}, "detect_every"),
        ({"camera": np.full((3, 3), np.nan)}, "camera"),
        ({"camera": np.stack([CAMERA] * 2)}, "camera"),
        ({"detector": "mediapipe"}, "detector"),
        ({"pose": LatentHeatmapRegressor()}, "pose"),
    ],
)
def test_a_bad_parameter_is_named(settings, message):
    bad = tracker().set_params(**settings)
    for call in (bad.predict, bad.track):
        with pytest.raises(InputError, match=f"^{message}"):
            call(scene())
    assert issubclass(CameraError, InputError)


def test_what_is_not_given_is_made_once_at_first_use(monkeypatch):
    made = []

    class HandDetector(Detector):
        def __init__(self, max_hands):
            super().__init__()
            made.append(max_hands)

    monkeypatch.setattr("skhand.tracking._tracker.HandDetector", HandDetector)
    pretrained = classmethod(lambda cls: made.append("pose") or Pose())
    monkeypatch.setattr(LatentHeatmapRegressor, "from_pretrained", pretrained)
    plain = HandTracker()
    assert made == []
    for _ in range(2):
        assert len(plain.predict(scene(("left", 50, 40, 40)))) == 1
        plain.track(scene())
    assert made == [2, "pose"]
    plain.set_params(max_hands=3).predict(scene())
    assert made == [2, "pose", 3]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_pose_network_that_ships_takes_what_the_hardware_multiplies(monkeypatch, precision):
    monkeypatch.setattr(LatentHeatmapRegressor, "from_pretrained", classmethod(lambda cls: Pose()))
    monkeypatch.setattr(
        "skhand.training._runtime._multiplies_bfloat16", lambda device: precision == "bfloat16"
    )
    plain = HandTracker(Detector())
    plain.predict(scene())
    assert plain.pose_.predict_precision == precision
    given = HandTracker(Detector(), Pose())
    given.predict(scene())
    assert given.pose_.predict_precision == "float32"


def test_bad_pictures_and_times_are_named():
    follow = tracker()
    with pytest.raises(InputError, match="pictures"):
        follow.predict(np.zeros((3, 20, 20)))
    with pytest.raises(InputError, match="frame: expected one picture, got 2"):
        follow.track([scene(), scene()])
    follow.track(scene(), time=1.0)
    with pytest.raises(InputError, match="time"):
        follow.track(scene(), time=1.0)
    for frames in ("video.mp4", 3):
        with pytest.raises(InputError, match="frames: expected an iterable"):
            next(follow.predict_video(frames))
    rooted = copy.copy(Pose())
    rooted.given_ = ("root",)
    with pytest.raises(InputError, match="pose: .*given"):
        HandTracker(Detector(), rooted).predict(scene())

    class NoSide(Detector):
        def transform(self, pictures):
            return HandFrames(box=[[1.0, 1, 9, 9]])

    with pytest.raises(InputError, match="detector: .*side"):
        HandTracker(NoSide(), Pose()).predict(scene())


# --------------------------------------------------------------------------------------- a network of its own


def test_a_fitted_network_answers_as_it_does_on_crops():
    hands = make_hands(16, image_size=64, random_state=0)
    pose = LatentHeatmapRegressor(mirror_left=True, max_epochs=1, batch_size=8, random_state=0)
    pose.fit(HandCropper(32).transform(hands.data), hands.target)
    X = hands.data[:4]

    class Known:
        n = -1

        def transform(self, pictures):
            self.n += 1
            return HandFrames(box=X.box[self.n, None], side=X.side[self.n, None])

    found = HandTracker(Known(), pose).predict(X)
    np.testing.assert_allclose(found.joints, pose.predict(HandCropper(32).transform(X)), rtol=1e-4)
    np.testing.assert_array_equal(found.side, X.side)


def test_a_photograph_is_answered_out_of_the_box(real_data):
    photograph = real_data / "real-rgb" / "images" / "00000.jpg"
    hands = HandTracker(max_hands=1).predict(photograph)
    with np.load(real_data / "real-rgb" / "annotations.npz", allow_pickle=False) as file:
        camera, joints = file["K_crop"][0], file["joints_mm"][0]
    assert len(hands) == 1 and hands.joints.shape == (1, 21, 3)
    assert np.linalg.norm(hands.keypoints[0] - project(joints, camera), axis=1).mean() < 30
