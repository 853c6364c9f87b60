"""Packed convolutions: what they compute is what the plain ones do, and no weight is kept too long."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from torch import nn
from torch.nn import functional

from skhand import persistence
from skhand.datasets import make_hands
from skhand.detection import HandDetector, _detector
from skhand.detection._network import DetectorNet
from skhand.estimators import LatentHeatmapRegressor
from skhand.estimators.latent_heatmap.network import Pose25DNet
from skhand.nn import _folding, _packing, fold_batch_norm, fold_once, pack_convolutions
from skhand.tracking import HandTracker
from skhand.training import rows_together

FAMILIES = ("resnet10", "resnet50", "regnet_x_400mf", "regnet_y_400mf", "mobilenet_v3_small")
NETWORKS = {
    **{name: {"network": "pyramid", "backbone": name, "width": 8} for name in FAMILIES},
    "paper": {"network": "paper", "width": 8, "n_stacks": 2},
    "fast": {"network": "paper", "width": 8, "fast": True},
    "holistic": {"heatmap": "holistic", "backbone": "small"},
}


def made(name, size=(64, 64)):
    """A network that nobody trained, for inference, with statistics of its own in its normalisations."""
    torch.manual_seed(0)
    net = Pose25DNet(**{"heatmap": "latent", "n_joints": 3, "image_size": size, **NETWORKS[name]})
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.1)
                layer.running_var.uniform_(0.8, 1.2)
    return fold_batch_norm(net).to(memory_format=torch.channels_last)


def pictures(n, height, width, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(n, channels, height, width, generator=generator) - 0.5
    return drawn.contiguous(memory_format=torch.channels_last)


def flat(answers):
    """All numbers of nested answers."""
    if isinstance(answers, torch.Tensor):
        return answers.float().flatten()
    return torch.cat([flat(each) for each in answers if each is not None])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_answers_as_before(name):
    plain = made(name)
    packed = copy.deepcopy(plain)
    pack_convolutions(packed.body)
    assert type(packed.body) is type(plain.body) and packed.n_features == plain.n_features
    with torch.inference_mode():
        for n in (1, 2):
            x = pictures(n, 64, 64)
            wanted, got = flat(plain(x)), flat(packed(x))
            assert (got - wanted).abs().max() < 1e-3 * wanted.abs().max()


class Steps(nn.Module):
    """Convolutions followed by whatever may follow one."""

    def __init__(self):
        super().__init__()
        layers = [nn.Conv2d(4, 4, 3, padding="same", bias=k % 2 == 0) for k in range(9)]
        self.layers = nn.ModuleList(layers)
        self.wide = nn.Conv2d(4, 6, (3, 5), stride=(2, 1), padding=(0, 2), dilation=(1, 2), groups=2)
        self.valid = nn.Conv2d(4, 4, 3, padding="valid")
        self.last, self.single = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1)
        self.mirrored = nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect")
        self.relu, self.nothing = nn.ReLU(inplace=True), nn.Identity()

    def forward(self, x):
        a, b, c, d, e, f, g, h, i = self.layers
        left = a(x) + x
        right = x + functional.relu(b(left))  # the sum comes after the rectifier
        twice = c(right)
        both = functional.relu(twice) + twice  # two users
        both += d(both)
        other = e(both)
        summed = self.relu(self.nothing(other + f(both)))  # two convolutions
        same = g(summed)
        same = same + same
        shifted = torch.add(h(same), x, alpha=2) + 1.0
        row = i(shifted) + shifted[:, :, :1]  # a row, for all rows
        whole = self.last(x[:1, :, :1]) + x  # a row of one picture, to which all of them are added
        ends = self.wide(torch.relu(row)), self.relu(self.valid(x)), self.mirrored(x).relu()
        return *ends, whole, self.single(x) + x[0]


def test_what_follows_a_convolution_is_computed_once_and_in_order():
    torch.manual_seed(0)
    plain = Steps().eval().requires_grad_(False)
    x = pictures(2, 12, 11, channels=4)
    packed, kept = copy.deepcopy(plain), x.clone()
    pack_convolutions(packed)
    with torch.inference_mode():
        wanted = plain(x.clone())
        for _ in range(2):
            for one, other in zip(packed(x), wanted, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert torch.equal(x, kept)


def test_packing_leaves_the_calls_of_other_threads_alone():
    """As they would not be, were calls of all modules written down."""
    other, plain, stop, done = nn.Conv2d(3, 4, 3), made("resnet10"), threading.Event(), []

    def call():
        with torch.inference_mode():
            while not stop.is_set():
                done.append(type(other(torch.zeros(1, 3, 4, 4))))

    with ThreadPoolExecutor(1) as pool:
        calls = pool.submit(call)
        for _ in range(3):
            pack_convolutions(copy.deepcopy(plain).body)
        stop.set()
        calls.result()
    assert set(done) == {torch.Tensor}


def test_packed_weights_wait_for_no_garbage_collection():
    """A validation after each epoch packs weights of its own, and Python does not know how large they are."""
    gc.collect()
    gc.disable()
    try:
        net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU()).eval().requires_grad_(False)
        pack_convolutions(net)
        layer = next(
            each for each in net.forward.__self__.modules() if isinstance(each, _packing._PackedConv2d)
        )
        with torch.inference_mode():
            net(pictures(1, 8, 8))
            gone = weakref.ref(layer.pack(torch.Size([1, 3, 8, 8]), torch.get_num_threads())[0])
        del net, layer
        assert gone() is None
    finally:
        gc.enable()


def test_maps_of_one_pixel_are_added_by_themselves():
    """Before torch 2.7, oneDNN's sum refuses them."""

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(4, 4, 3, stride=2, padding=1)
            self.beside = nn.Conv2d(4, 4, 1, stride=2)

        def forward(self, x):
            return torch.relu(self.beside(x) + self.layer(x))

    def note(add, x, other, *more):
        sizes.append(other.shape[2:])
        return add(x, other, *more)

    plain = Sum().eval().requires_grad_(False)
    packed, x, sizes = copy.deepcopy(plain), pictures(2, 2, 2, channels=4), []
    pack_convolutions(packed)
    for layer in packed.forward.__self__.modules():
        if isinstance(layer, _packing._PackedConv2d):
            layer.convolve_and_add = partial(note, layer.convolve_and_add)
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), plain(x))
        assert not sizes
        larger = pictures(1, 4, 2, channels=4)
        torch.testing.assert_close(packed(larger), plain(larger))
    assert sizes == [(2, 1)]


@pytest.mark.parametrize("refuses", ["none", "weights", "all"])
def test_where_onednn_is_missing_or_refuses_nothing_changes(monkeypatch, refuses):
    plain = made("resnet10")
    packed = copy.deepcopy(plain)
    if refuses == "weights":
        monkeypatch.setattr(_packing, "pack_weight", lambda *_: None)
    elif refuses == "all":
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    pack_convolutions(packed.body)
    x = pictures(2, 64, 64)
    with torch.inference_mode():
        wanted, got = flat(plain(x)), flat(packed(x))
    assert (got - wanted).abs().max() < 1e-4 * wanted.abs().max()
    if refuses == "all":
        assert torch.equal(got, wanted)


def test_many_shapes_of_pictures_in_any_order():
    plain = made("resnet10")
    packed = copy.deepcopy(plain)
    pack_convolutions(packed.body)
    shapes = [(1, 64, 64), (2, 64, 64), (1, 32, 96), (1, 33, 47), (3, 64, 64), (1, 128, 64)]
    with torch.inference_mode():
        for shape in shapes + shapes[::-1]:
            wanted, got = flat(plain(pictures(*shape))), flat(packed(pictures(*shape)))
            assert (got - wanted).abs().max() < 1e-3 * wanted.abs().max()


def test_weights_are_packed_for_the_number_of_threads_and_the_shape(monkeypatch):
    """In the order of another one, a convolution may take a hundred times as long."""
    seen, pack = [], _packing.pack_weight

    def spy(weight, options, shape):
        seen.append((torch.get_num_threads(), tuple(shape)))
        return pack(weight, options, shape)

    monkeypatch.setattr(_packing, "pack_weight", spy)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)).eval().requires_grad_(False)
    pack_convolutions(layers)
    before = torch.get_num_threads()
    try:
        with torch.inference_mode():
            for n_threads, n in [(1, 1), (1, 1), (2, 1), (1, 2), (2, 1), (1, 1)]:
                torch.set_num_threads(n_threads)
                layers(pictures(n, 8, 8))
    finally:
        torch.set_num_threads(before)
    assert seen == [(1, (1, 3, 8, 8)), (2, (1, 3, 8, 8)), (1, (2, 3, 8, 8))]


def test_sums_are_rounded_once_in_half_precision():
    """Packed in bfloat16, the network is no further from float32 than torch's own bfloat16 is."""
    torch.manual_seed(0)
    net = Pose25DNet("latent", 21, (64, 64), network="pyramid", backbone="resnet10", width=32).eval()
    x = pictures(8, 64, 64)
    options = (torch.channels_last, torch.bfloat16)
    with torch.inference_mode():
        wanted = flat(net.body(x))
        with torch.autocast("cpu", torch.bfloat16):
            off = (flat(fold_once(net, *options).body(x)) - wanted).abs().mean()
            packed = (flat(fold_once(net, *options, "body").body(x)) - wanted).abs().mean()
    assert packed < 1.05 * off


# ---------------------------------------------------------------- the estimator


@pytest.fixture(scope="module")
def hands():
    return make_hands(6, image_size=32, images=("rgb",), random_state=0)


@pytest.fixture(params=["float32", "bfloat16"])
def fitted(request, hands):
    est = LatentHeatmapRegressor(
        backbone="resnet10", width=8, max_epochs=1, random_state=0, mirror_left=True, warm_start=True,
        precision="float32", predict_precision=request.param, device="cpu",
    )  # fmt: skip
    return est.fit(hands.data, hands.target)


def answer(est, hands):
    """Keypoints, px, by packed convolutions."""
    with rows_together():
        return est.predict_keypoints(hands.data)


def test_packed_answers_are_the_plain_ones(fitted, hands):
    fitted.set_params(predict_precision="float32")
    np.testing.assert_allclose(answer(fitted, hands), fitted.predict_keypoints(hands.data), atol=1e-3)


@pytest.mark.parametrize(
    "change",
    [
        lambda est, hands: torch.no_grad()(est.module_.body.last.weight.mul_)(3),
        lambda est, hands: est.module_.body.last.register_parameter(
            "weight", nn.Parameter(3 * est.module_.body.last.weight.detach())
        ),
        lambda est, hands: est.module_.load_state_dict(
            {name: 3 * value if "last" in name else value for name, value in est.module_.state_dict().items()}
        ),
        lambda est, hands: setattr(est.module_.body, "last", nn.Conv2d(8, 42, 1)),
        lambda est, hands: est.module_.body.smooth[0][1].running_mean.add_(1),  # of a normalisation
        lambda est, hands: est.fit(hands.data, hands.target),
        lambda est, hands: est.set_params(warm_start=False, random_state=1).fit(hands.data, hands.target),
    ],
    ids=["in place", "parameter", "state", "layer", "statistics", "on", "anew"],
)
def test_weights_that_change_after_a_prediction_change_the_next(fitted, hands, change):
    before = answer(fitted, hands)
    change(fitted, hands)
    after = answer(fitted, hands)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_array_equal(after, answer(pickle.loads(pickle.dumps(fitted)), hands))


def test_copies_pickles_and_files_of_an_estimator_that_has_predicted(fitted, hands, tmp_path):
    wanted = answer(fitted, hands)
    persistence.save(fitted, tmp_path / "hand.safetensors")
    for other in (
        copy.copy(fitted),
        copy.deepcopy(fitted),
        pickle.loads(pickle.dumps(fitted)),
        persistence.load(tmp_path / "hand.safetensors"),
    ):
        np.testing.assert_array_equal(answer(other, hands), wanted)
    assert not hasattr(clone(fitted), "module_")
    with torch.no_grad():
        other.module_.body.last.weight.mul_(3)  # of the one that was loaded
    np.testing.assert_array_equal(answer(fitted, hands), wanted)


def test_predictions_of_both_kinds_by_turns_make_nothing_anew(fitted, hands, monkeypatch):
    fitted.set_params(predict_precision="float32")
    wanted = answer(fitted, hands), fitted.predict_keypoints(hands.data)
    monkeypatch.setattr(_folding, "fold_batch_norm", None)
    np.testing.assert_array_equal(answer(fitted, hands), wanted[0])
    np.testing.assert_array_equal(fitted.predict_keypoints(hands.data), wanted[1])


def test_an_estimator_that_was_loaded_in_inference_mode_predicts_and_learns(fitted, hands):
    wanted = answer(fitted, hands)
    with torch.inference_mode():
        other = pickle.loads(pickle.dumps(fitted))
        np.testing.assert_array_equal(answer(other, hands), wanted)
    assert other.fit(hands.data, hands.target).n_iter_ == 2


def test_threads_answer_at_once_with_one_network(fitted, hands):
    wanted = [answer(fitted, hands)[:3], answer(fitted, hands)]
    fresh = pickle.loads(pickle.dumps(fitted))

    def predict(k):
        with rows_together():
            return fresh.predict_keypoints(hands.data[: (3, 6)[k % 2]])

    with ThreadPoolExecutor(4) as pool:
        for k, got in enumerate(pool.map(predict, range(12))):
            np.testing.assert_allclose(got, wanted[k % 2], atol=0.5)


def test_packed_weights_go_with_their_network(hands):
    est = LatentHeatmapRegressor.from_pretrained()
    answer(est, make_hands(1, images=("rgb",), random_state=0))
    (folded,) = _folding._FOLDED[est.module_][1].values()
    gone = weakref.ref(folded)
    del folded
    del est
    gc.collect()
    assert gone() is None


# ---------------------------------------------------------------- detector and tracker


def test_the_detector_finds_what_its_plain_network_does(monkeypatch):
    scenes = np.random.default_rng(0).integers(0, 256, (2, 12, 16, 3), dtype=np.uint8)
    scenes = scenes.repeat(16, axis=1).repeat(16, axis=2)
    hand = make_hands(2, rotation=0, images=("rgb",), random_state=0).data.rgb
    scenes[:, 40:168, 60:188] = hand
    packed = HandDetector(0.0).transform(scenes)
    monkeypatch.setattr(_detector, "pack_convolutions", lambda network: None)
    monkeypatch.setattr(_detector, "_load_network", _detector._load_network.__wrapped__)
    plain = HandDetector(0.0).transform(scenes)
    network = _detector._load_network(str(_detector._WEIGHTS), (0, 0), "cpu")
    assert type(network) is DetectorNet and "forward" not in vars(network)
    for picture in (0, 1):
        one, other = (each[each.picture == picture][:1] for each in (packed, plain))
        np.testing.assert_allclose(one.box, other.box, atol=2.0)  # half precision, where the processor has it
        np.testing.assert_allclose(one.score, other.score, atol=0.02)


def test_the_tracker_answers_as_the_plain_path_does():
    """In float32 to a thousandth of a pixel: crops by `HandCropper`'s rules, each side by itself."""
    picture = make_hands(1, rotation=0, images=("rgb",), random_state=0).data.rgb[0]
    pose = LatentHeatmapRegressor.from_pretrained()
    found = HandTracker(pose=pose, max_hands=1).predict(picture)
    assert len(found) == 1

    class Plain:
        """The same network without `rows_together`: torch's own convolutions, one row at a time."""

        heatmap, input_shape_, given_ = pose.heatmap, pose.input_shape_, pose.given_
        mean_bones_ = pose.mean_bones_

        def predict(self, X, return_std):
            with ThreadPoolExecutor(1) as pool:  # which is out of that block
                rows = [pool.submit(pose.predict, X[[k]], return_std=True).result() for k in range(len(X))]
            return tuple(np.concatenate(parts) for parts in zip(*rows, strict=True))

    plain = HandTracker(pose=Plain(), max_hands=1).predict(picture)
    assert found.side.tolist() == plain.side.tolist()
    np.testing.assert_array_equal(found.box, plain.box)
    np.testing.assert_allclose(found.keypoints, plain.keypoints, atol=1e-3)
    np.testing.assert_allclose(found.joints, plain.joints, atol=0.01)
