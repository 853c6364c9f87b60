"""HandDetector: rows out of pictures, its parameters, and that its network learns."""

import pickle
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skhand import HandFrames, concat_frames
from skhand._weights import load_weights, save_weights
from skhand.datasets import make_scenes
from skhand.datasets._scenes import load_pool, render_backgrounds, render_hands
from skhand.detection import HandDetector
from skhand.detection._boxes import Found, box_iou, detection_loss, make_targets, read_maps
from skhand.detection._measure import measure
from skhand.detection._network import ARCHITECTURE, DetectorNet, Maps, normalise
from skhand.detection._training import DetectorTraining, draw_scenes, start_from_pose, turn_scenes
from skhand.estimators import LatentHeatmapRegressor
from skhand.exceptions import InputError
from skhand.preprocessing import HandCropper, HandMirror
from skhand.rendering.scenes import Scenes

SMALL = {
    "channels": [8, 8, 16, 16, 16],
    "rank": None,
    "blocks": 1,
    "expansion": 2,
    "pyramid": [16, 16],
    "hidden": 16,
    "input": 96,
}
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 60, 80, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights that nobody trained: everything is a hand, a little."""
    torch.manual_seed(0)
    network = DetectorNet(**ARCHITECTURE)
    torch.nn.init.normal_(network.maps.weight, std=0.3)
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    save_weights(path, network.fused().state_dict(), {"architecture": ARCHITECTURE})
    return path


@pytest.fixture
def detector(weights):
    return HandDetector(0.0, weights=weights, overlap=0.9)


def test_rows_are_hands(detector):
    hands = detector.fit_transform(PICTURES)
    assert len(hands) == 6
    assert hands.picture.tolist() == [0, 0, 1, 1, 2, 2]
    assert hands.rgb.shape == (6, 60, 80, 3)
    assert np.array_equal(hands.rgb[:], PICTURES[hands.picture])
    assert ((hands.score >= 0) & (hands.score <= 1)).all()
    assert (np.diff(hands.score.reshape(3, 2)) <= 0).all()
    assert set(hands.side) <= {"left", "right"}
    assert np.array_equal(np.concatenate(detector.predict(PICTURES)), hands.box)


def test_no_hand_is_a_table_without_rows(weights):
    detector = HandDetector(1.0, weights=weights)
    for X in (PICTURES, PICTURES[0], list(PICTURES), [PICTURES[0], PICTURES[1, :40]]):
        hands = detector.transform(X)
        assert len(hands) == 0 and hands.shape == (0,) and len(hands[:]) == 0
        crops = HandMirror().fit_transform(HandCropper(32).fit_transform(hands))
        assert crops.rgb[:].shape == (0, 32, 32, 3)
        assert len(pickle.loads(pickle.dumps(crops))) == 0
    assert [len(box) for box in detector.predict(PICTURES)] == [0, 0, 0]


def test_what_a_picture_comes_as_changes_nothing(detector):
    one = detector.transform(PICTURES[:1])
    as_float = PICTURES[:1] / 255.0
    for X in (PICTURES[0], list(PICTURES[:1]), HandFrames(rgb=PICTURES[:1]), as_float, [as_float[0]]):
        other = detector.transform(X)
        assert np.array_equal(other.box, one.box) and np.array_equal(other.score, one.score)


def test_pictures_may_differ_in_size(detector):
    pictures = [PICTURES[0], np.ascontiguousarray(PICTURES[1, :40]), PICTURES[2]]
    hands = detector.transform(pictures)
    assert hands.rgb.shape == (6, None, None, 3)
    assert hands.rgb[2].shape == (40, 80, 3)
    crops = make_pipeline(detector, HandCropper(32)).fit_transform(pictures)
    assert crops.rgb[:].shape == (6, 32, 32, 3)
    assert crops.picture.tolist() == [0, 0, 1, 1, 2, 2] and np.array_equal(crops.score, hands.score)
    assert np.allclose(detector.predict(pictures)[0], detector.predict(PICTURES)[0], atol=1e-2)


def test_columns_of_a_picture_are_kept(detector):
    camera = np.array([[100.0, 0, 40], [0, 100, 30], [0, 0, 1]])
    frames = HandFrames(rgb=PICTURES, camera=camera, keypoints2d=np.zeros((3, 21, 2)), domain="real")
    hands = detector.transform(frames)
    assert np.array_equal(hands.camera, np.broadcast_to(camera, (6, 3, 3)))
    assert hands.domain.tolist() == ["real"] * 6
    assert "keypoints2d" not in hands.columns


def test_it_is_a_transformer_of_scikit_learn(detector):
    copy = clone(detector).set_params(max_hands=1)
    assert copy.get_params()["weights"] == detector.weights
    again = pickle.loads(pickle.dumps(copy))
    assert np.array_equal(again.transform(PICTURES).box, copy.transform(PICTURES).box)
    assert len(copy.transform(PICTURES)) == 3


@pytest.mark.parametrize(
    ("parameters", "X", "message"),
    [
        ({"threshold": 2}, PICTURES, "threshold"),
        ({"max_hands": 0}, PICTURES, "max_hands"),
        ({"overlap": -1}, PICTURES, "overlap"),
        ({"detector": "other"}, PICTURES, "detector"),
        ({"weights": 3}, PICTURES, "weights"),
        ({"weights": "nowhere.safetensors"}, PICTURES, "weights.*missing"),
        ({"device": "nowhere"}, PICTURES, "device"),
        ({}, PICTURES[..., :2], "X: expected pictures"),
        ({}, PICTURES.astype(np.int16), "X: expected uint8"),
        ({}, PICTURES.astype(float), "X: expected floats from 0 to 1"),
        ({}, [PICTURES[0], PICTURES[0, 0]], r"X\[1\]: expected a picture"),
        ({}, PICTURES[:0], "X: expected at least 1 picture"),
        ({}, [], "X: expected at least 1 picture"),
        ({}, 3, "X: expected pictures"),
        ({}, HandFrames(box=np.zeros((2, 4))), "X: expected a HandFrames with the column rgb"),
    ],
)
def test_errors_name_the_argument(weights, parameters, X, message):
    with pytest.raises(InputError, match=message):
        HandDetector(**{"weights": weights, **parameters}).transform(X)


def test_mediapipe_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe.python.solutions.hands", None)
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(InputError, match=r"skhand\[mediapipe\]"):
        HandDetector(detector="mediapipe").transform(PICTURES)


def test_the_new_columns_are_checked():
    with pytest.raises(InputError, match="picture: expected integers"):
        HandFrames(rgb=PICTURES, picture=[0.5, 1, 2])
    with pytest.raises(InputError, match="score: expected numbers from 0 to 1"):
        HandFrames(rgb=PICTURES, score=[0.5, 1, 2])
    both = concat_frames([HandFrames(box=np.ones((1, 4)), score=[0.5]), HandFrames(box=np.ones((1, 4)))])
    assert both.score[0] == 0.5 and np.isnan(both.score[1])


def test_targets_are_read_back_as_the_boxes():
    """Perfect maps give the boxes, sides and nothing else; their loss is next to nothing."""
    boxes = torch.tensor([[[10.3, 20.1, 60.7, 40.2], [100.0, 90.5, 30.0, 55.0]]])
    left, shown = torch.tensor([[True, False]]), torch.tensor([[True, True]])
    targets = make_targets(boxes, left, shown, ~shown, 192)
    centre = torch.where(targets.weight > 0, 12.0, -12.0)[:, None]
    side = torch.stack([10.0 - 20.0 * targets.is_left, 20.0 * targets.is_left - 10.0], dim=1)
    maps = Maps(centre, targets.size, targets.offset, side)
    (found,) = read_maps(maps, 0.5, 2, 0.5, 192)
    order = found.box[:, 0].argsort()
    assert torch.allclose(found.box[order], boxes[0], atol=1e-3)
    assert found.is_left[order].tolist() == [True, False]
    assert sum(detection_loss(maps, targets).values()) < 1e-3


def test_hands_are_read_at_pixels_that_none_around_is_above():
    """Against loops, on maps of noise: every peak above the threshold, the highest first."""
    noise = torch.randn(2, 7, 9, 12, generator=torch.Generator().manual_seed(0))
    maps = Maps(noise[:, :1], 0.3 * noise[:, 1:3] - 3.0, 0.1 * noise[:, 3:5], noise[:, 5:])
    for found, centre, size, offset, side in zip(read_maps(maps, 0.6, 99, 1.0, 96), *maps[:4], strict=True):
        wanted = []
        for y in range(9):
            for x in range(12):
                around = centre[0, max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
                score = torch.sigmoid(centre[0, y, x]).item()
                if centre[0, y, x] == around.max() and score >= 0.6:
                    extent = 96 * size[:, y, x].exp()
                    middle = torch.tensor([4 * x + 1.5, 4 * y + 1.5]) + offset[:, y, x] * extent
                    box = torch.cat([middle - extent / 2, extent]).tolist()
                    wanted.append((score, box, bool(side[0, y, x] > side[1, y, x])))
        wanted.sort(key=lambda hand: -hand[0])
        assert len(wanted) > 5 and found.box.dtype == torch.float32
        np.testing.assert_allclose(found.score, [score for score, _, _ in wanted], rtol=1e-5)
        np.testing.assert_allclose(found.box, [box for _, box, _ in wanted], rtol=1e-4, atol=1e-3)
        assert found.is_left.tolist() == [left for _, _, left in wanted]


def test_the_surest_hand_comes_first_also_where_scores_are_all_one():
    maps = Maps(
        torch.full((1, 1, 9, 12), -9.0), torch.full((1, 2, 9, 12), -3.0), *torch.zeros(2, 1, 2, 9, 12)
    )
    for y, x, logit in ((2, 3, 30.0), (6, 9, 40.0)):
        maps.centre[0, 0, y, x] = logit
    (found,) = read_maps(maps, 0.5, 1, 0.5, 96)
    extent = 96 * np.exp(-3.0)
    wanted = [4 * 9 + 1.5 - extent / 2, 4 * 6 + 1.5 - extent / 2, extent, extent]
    np.testing.assert_allclose(found.box[0], wanted, rtol=1e-5)


def test_joints_are_told_from_the_middle_of_the_box():
    boxes, yes = torch.tensor([[[40.0, 60.0, 80.0, 40.0]]]), torch.tensor([[True]])
    points = torch.full((1, 1, 21, 2), 80.0)  # the middle of the box
    points[0, 0, 3] = torch.tensor([120.0, 60.0])  # its upper right corner
    targets = make_targets(boxes, yes, yes, ~yes, 192, points)
    assert targets.joints.shape == (1, 42, 48, 48)
    expected = torch.zeros(42)
    expected[6:8] = torch.tensor([0.5, -0.25])
    assert torch.equal(targets.joints[0, :, 20, 20], expected)
    maps = Maps(torch.zeros(1, 1, 48, 48), targets.size, targets.offset, torch.zeros(1, 2, 48, 48))
    assert "joints" not in detection_loss(maps, targets)
    terms = detection_loss(maps._replace(joints=targets.joints + 0.1), targets)
    assert terms["joints"].item() == pytest.approx(42 * 0.1 / 7)


def test_the_centre_of_a_hand_that_leaves_the_picture_is_that_of_what_is_seen():
    """Half of the first hand is in the picture; above the second, the picture is 40 px narrower."""
    boxes, yes = torch.tensor([[[-40.0, 60.0, 80.0, 40.0]], [[112.0, 60.0, 80.0, 40.0]]]), torch.ones(2, 1)
    window = torch.tensor([[0.0, 0.0, 192.0, 192.0], [0.0, 0.0, 152.0, 192.0]])
    yes = yes > 0
    targets = make_targets(boxes, yes, yes, ~yes, 192, window=window)
    # 20 and 132 px from the left, 80 from the top; a pixel of the maps is 4 px
    assert (targets.heat == 1.0).nonzero().tolist() == [[0, 20, 5], [1, 20, 33]]
    maps = Maps(12.0 * targets.heat[:, None], targets.size, targets.offset, torch.zeros(2, 2, 48, 48))
    found = read_maps(maps, 0.999, 2, 0.5, 192)
    for one, box in zip(found, boxes, strict=True):
        assert torch.allclose(one.box, box, atol=1e-3)


def test_overlap_is_that_of_areas():
    one, other = torch.tensor([[0.0, 0, 4, 4]]), torch.tensor([[2.0, 0, 4, 4], [0, 0, 4, 4], [9, 9, 1, 1]])
    assert torch.allclose(box_iou(one, other), torch.tensor([[8 / 24, 1.0, 0.0]]))


def test_measures_count_each_hand_once():
    box = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 10, 10], [80, 80, 10, 10]])
    found = [Found(box, torch.ones(4), torch.tensor([True] * 4))]
    scores = measure(found, [box[:1]], [torch.tensor([False])], [box[2:3]])
    assert scores == {"recall": 1.0, "precision": 1 / 3, "false_alarms": 2.0, "iou": 1.0, "side": 0.0}


def test_the_network_is_small_and_reads_fused_as_before():
    torch.manual_seed(1)
    network = DetectorNet(**ARCHITECTURE).eval()
    assert sum(weight.numel() for weight in network.parameters()) < 1_000_000
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2.0)
    x = torch.randn(1, 3, 96, 160)
    with torch.inference_mode():
        before = network(x)
        after = network.fused()(x)
    assert before.centre.shape == (1, 1, 24, 40)
    assert before.joints is None and after.joints is None
    assert all(torch.allclose(*both, atol=1e-3) for both in zip(before[:4], after[:4], strict=True))


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_turned_scenes_show_the_same_hands(quarters, mirrored):
    """One bright pixel is each joint; turned, it lies where the turned joint is, and boxes turn along."""
    pictures = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    points = torch.tensor([[[[3.0, 5.0], [10.0, 20.0]], [[25.0, 7.0], [30.0, 8.0]]]])
    for k, (x, y) in enumerate(points.reshape(-1, 2).long().tolist()):
        pictures[0, :, y, x] = 50 * (k + 1)
    boxes = torch.tensor([[[1.0, 2, 12, 21], [22, 5, 9, 4]]])
    left, there = torch.tensor([[True, False]]), torch.tensor([[True, True]])
    window = torch.tensor([[0.0, 0.0, 31.0, 20.0]])
    scenes = Scenes(pictures, points, boxes, left, there, ~there, window)
    turned = turn_scenes(scenes, quarters, mirrored)
    x, y = turned.points[0].reshape(-1, 2).long().unbind(1)
    assert turned.pictures[0, 0, y, x].tolist() == [50, 100, 150, 200]
    # a quarter turns the way from one joint to the other by 90 degrees; a mirroring turns that of x around
    way = points[:, :, 1] - points[:, :, 0]
    if mirrored:
        way = way * torch.tensor([-1.0, 1.0])
    for _ in range(quarters):
        way = torch.stack([way[..., 1], -way[..., 0]], dim=-1)
    assert torch.equal(turned.points[:, :, 1] - turned.points[:, :, 0], way)
    assert torch.equal(turned.is_left, ~left if mirrored else left)
    # pads of the box about its joints: left, top, right and below of the first hand were 2, 3, 3 and 3
    low = turned.points.amin(dim=2) - turned.boxes[..., :2]
    high = turned.boxes[..., :2] + turned.boxes[..., 2:] - turned.points.amax(dim=2)
    assert sorted(torch.cat([low, high], dim=2)[0, 0].tolist()) == [2.0, 3.0, 3.0, 3.0]
    # the picture was at the top; it is at the left after a quarter, and at the bottom after two
    sides = {0: [0, 0, 31, 20], 1: [0, 0, 20, 31], 2: [0, 11, 31, 20], 3: [11, 0, 20, 31]}
    assert turned.window[0].tolist() == sides[quarters]


def test_a_whole_picture_stays_whole_when_it_is_turned():
    arrays = render_hands(0, np.arange(2), 64)
    pool = load_pool({**arrays, "backgrounds": render_backgrounds(0, np.arange(2), 64)})
    scenes = draw_scenes(pool, 40, 96, torch.Generator().manual_seed(0))
    whole = (scenes.window[:, 2:] == 96).all(dim=1)
    assert 0 < whole.sum() < 40
    for way in [(0, True), (1, False), (2, False)]:
        assert torch.equal(turn_scenes(scenes, *way).window[whole], scenes.window[whole])
    # the first pixel that is grey throughout is the one beyond the window's edge
    for picture, window in zip(scenes.pictures[~whole], scenes.window[~whole], strict=True):
        right, below = (window[:2] + window[2:] + 0.5).int().tolist()
        inside = torch.zeros(96, 96, dtype=torch.bool)
        inside[:below, :right] = True
        assert (picture[:, ~inside] == 128).all()


def test_training_starts_from_what_the_pose_network_knows_of_hands():
    """Down to 1/8 the trunk answers as the pose network's does; at 1/16 about so."""
    network = DetectorNet(**ARCHITECTURE)
    start_from_pose(network)
    pose = LatentHeatmapRegressor.from_pretrained().module_.eval()
    x = torch.rand(1, 3, 64, 96) - 0.5
    with torch.inference_mode():
        one, other = network.eval().stem(x), x
        for k, (stage, level) in enumerate(zip(network.stages, pose.body.levels, strict=False)):
            one, other = stage(one), level(other)
            if k < 2:
                assert torch.allclose(one, other, atol=1e-4)
            elif k == 2:
                assert torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1] > 0.7
                break


def test_what_it_starts_from_stays_as_it_is_down_to_a_quarter():
    arrays = render_hands(0, np.arange(4), 64)
    pool = load_pool({**arrays, "backgrounds": render_backgrounds(0, np.arange(2), 64)})
    training = DetectorTraining(pool, batch_size=2, ahead=2, uses=3, pretrained=True)
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    for _ in range(6):
        training.step(0.0)
    changed = {
        name for name, value in training.network.state_dict().items() if not torch.equal(value, before[name])
    }
    assert not any(name.startswith(("stem", "stages.0")) for name in changed)
    assert any(name.startswith("stages.1") for name in changed)
    assert not training._waiting  # two batches of scenes, three times each


def test_half_precision_finds_the_same(weights):
    network, half = DetectorNet(**ARCHITECTURE).fused(), DetectorNet(**ARCHITECTURE).fused(torch.bfloat16)
    for each in (network, half):
        each.load_state_dict(load_weights(weights)[0])
    assert half.maps.weight.dtype == torch.float32 and half.top.conv.weight.dtype == torch.bfloat16
    x = normalise(torch.from_numpy(PICTURES[:, :32, :64].transpose(0, 3, 1, 2).copy()))
    with torch.inference_mode():
        whole, rounded = network(x), half(x)
    for one, other in zip(whole[:4], rounded[:4], strict=True):
        assert other.dtype == torch.float32
        assert (one - other).abs().mean() < 0.05 * one.std()


def test_training_goes_on_bit_by_bit_and_learns():
    arrays = render_hands(0, np.arange(12), 64)
    pool = load_pool({**arrays, "backgrounds": render_backgrounds(0, np.arange(6), 64)})
    training = DetectorTraining(pool, batch_size=8, rate=1e-2, architecture=SMALL)
    first = [sum(training.step(0.0).values()).item() for _ in range(10)]
    state = pickle.loads(pickle.dumps(training.state_dict()))
    last = [sum(training.step(0.0).values()).item() for _ in range(110)]
    assert np.mean(last[-20:]) < 0.8 * np.mean(first)
    other = DetectorTraining(pool, batch_size=8, rate=1e-2, architecture=SMALL, seed=5)
    other.load_state_dict(state)
    assert sum(other.step(0.0).values()).item() == last[0]


@pytest.mark.parametrize(("ahead", "uses"), [(1, 3), (3, 1), (2, 2)])
def test_training_goes_on_bit_by_bit_amid_waiting_batches(ahead, uses):
    arrays = render_hands(0, np.arange(4), 64)
    pool = load_pool({**arrays, "backgrounds": render_backgrounds(0, np.arange(4), 64)})
    options = {"batch_size": 4, "architecture": SMALL, "ahead": ahead, "uses": uses}
    training, other = DetectorTraining(pool, **options), DetectorTraining(pool, seed=5, **options)
    for each in (training, other):  # both have batches that wait
        each.step(0.0)
    state = pickle.loads(pickle.dumps(training.state_dict()))
    after = [sum(training.step(0.0).values()).item() for _ in range(5)]
    other.load_state_dict(state)
    assert [sum(other.step(0.0).values()).item() for _ in range(5)] == after


def test_the_sides_of_a_few_scenes_are_learnt_by_heart():
    arrays = render_hands(0, np.arange(12), 64)
    pool = load_pool({**arrays, "backgrounds": render_backgrounds(0, np.arange(6), 64)})
    scenes = draw_scenes(pool, 12, 96, torch.Generator().manual_seed(0))
    targets = make_targets(scenes.boxes, scenes.is_left, scenes.shown, scenes.unclear, 96)
    torch.manual_seed(0)
    network = DetectorNet(**SMALL)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        sum(detection_loss(network(normalise(scenes.pictures)), targets).values()).backward()
        optimizer.step()
    # with the statistics of this batch, and where the hands are: what is read are the right logits
    maps = network(normalise(scenes.pictures))
    middle = (scenes.boxes[..., :2] + 0.5 * scenes.boxes[..., 2:] - 1.5) / 4
    x, y = middle.round().long().clamp(0, 23).unbind(2)
    left = maps.side[torch.arange(12)[:, None], 0, y, x] > maps.side[torch.arange(12)[:, None], 1, y, x]
    assert set(scenes.is_left[scenes.shown].tolist()) == {True, False}
    assert (left == scenes.is_left)[scenes.shown].float().mean() > 0.95


def test_scenes_can_be_searched(detector):
    scenes = make_scenes(2, image_size=64, random_state=0)
    assert set(detector.transform(scenes.pictures).picture) == {0, 1}
