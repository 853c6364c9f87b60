"""Backgrounds, occluders and the camera of the generated pictures."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import correlate
from torch.nn.functional import interpolate

from skhand.exceptions import InputError
from skhand.rendering.backgrounds import BACKGROUND_DRAWS, draw_backgrounds, enlarge
from skhand.rendering.draws import Draws
from skhand.rendering.lens import add_grain, defocus, shake
from skhand.rendering.occluders import OCCLUDER_DRAWS, OCCLUDERS, cover_with, plan_occluders
from skhand.rendering.paint import rectangle, thing
from skhand.rendering.photograph import draw_camera_effects, take_photograph
from skhand.rendering.pictures import PICTURE_DRAWS, read_backgrounds
from skhand.rendering.shelves import draw_shelves
from skhand.rendering.surroundings import SURROUNDINGS, SURROUNDINGS_DRAWS

SKIN = np.array([0.45, 0.25, 0.18])
CPU = torch.device("cpu")


def backgrounds(rows, size, seed=0, device="cpu"):
    """Draw the backgrounds of some rows."""
    rows = np.asarray(rows)
    draws = Draws(seed, "background", rows, BACKGROUND_DRAWS)
    return draw_backgrounds(draws, np.tile(SKIN, (len(rows), 1)), size, device)


def neutral(n, **changes):
    """Values of `take_photograph` that leave a picture as it is, but for the gamma."""
    values = draw_camera_effects(Draws(0, "look", np.arange(n), 128))
    for name in ("exposure", "contrast", "saturation", "balance"):
        values[name] = np.ones_like(values[name])
    values["falloff"] = np.zeros(n)
    return values | changes


def blob(n, size):
    """A made-up hand: mask, and a layer with a gradient."""
    y, x = np.mgrid[:size, :size] / size - 0.5
    mask = (x**2 + y**2 < 0.06) | ((np.abs(x) < 0.08) & (y > 0.1)) | ((np.abs(y + 0.3) < 0.02) & (x < 0.2))
    mask = torch.as_tensor(np.tile(mask, (n, 1, 1)))
    paint = torch.as_tensor(np.stack([0.3 + 0.2 * x, 0.2 + 0.1 * y, 0.2 + 0 * x]), dtype=torch.float32)
    return mask, paint * mask[:, None]


def points_of_hands(n, seed=0):
    """Made-up joints inside of boxes of all shapes, px of a picture of 96 px."""
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(5, 35, (n, 1, 2)), rng.uniform(15, 55, (n, 1, 2))
    return corner + side * rng.random((n, 21, 2))


def plan(points, probability, seed=0):
    """Draw the occluders of rows 0, 1, ..."""
    draws = Draws(seed, "look", np.arange(len(points)), OCCLUDER_DRAWS)
    return plan_occluders(draws, points, np.tile(SKIN, (len(points), 1)), probability)


@pytest.mark.parametrize("size", [16, 40, 65, 131])
def test_a_background_does_not_depend_on_its_batch(size):
    together = backgrounds(np.arange(30), size)
    assert together.shape == (30, 3, size, size) and bool(torch.isfinite(together).all())
    assert together.min() >= 0 and together.max() < 2.5
    chunked = torch.cat([backgrounds(rows, size) for rows in np.split(np.arange(30), [1, 2, 9, 20])])
    assert torch.equal(together, chunked)
    assert torch.equal(together[[28, 3]], backgrounds([28, 3], size))


@pytest.mark.parametrize("paint", [paint for paint, _, _ in SURROUNDINGS], ids=lambda paint: paint.__name__)
def test_all_surroundings_stay_within_their_numbers_and_vary(paint):
    draws = Draws(3, "background", np.arange(24), SURROUNDINGS_DRAWS)
    canvas = paint(draws, 48, CPU)
    assert canvas.shape == (24, 3, 48, 48) and bool(torch.isfinite(canvas).all())
    assert canvas.min() >= -1e-6 and canvas.max() < 2.5
    means = canvas.mean(dim=(2, 3))
    assert torch.cdist(means, means).add(torch.eye(24)).min() > 1e-4  # no two alike
    assert (canvas.flatten(1).std(dim=1) > 0.02 * means.mean(dim=1)).all()  # none is flat


def test_backgrounds_have_the_spectrum_and_the_colours_of_photographs():
    display = backgrounds(np.arange(160), 64, seed=5).clamp(0, 1).sqrt().numpy()
    grey = display.mean(axis=1)
    window = np.hanning(64)[:, None] * np.hanning(64)
    grey = (grey - grey.mean(axis=(1, 2), keepdims=True)) * window
    amplitude = np.sqrt((np.abs(np.fft.fft2(grey)) ** 2).mean(axis=0))
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(64), np.fft.fftfreq(64)))
    bands = np.geomspace(2 / 64, 0.4, 8)
    level = [amplitude[(frequency >= a) & (frequency < b)].mean() for a, b in pairwise(bands)]
    slope = np.polyfit(np.log(np.sqrt(bands[1:] * bands[:-1])), np.log(level), 1)[0]
    # amplitudes of photographs fall as f^-0.8 to f^-1.5 (Tolhurst et al. 1992), of blurred ones faster
    assert -2.3 < slope < -0.8
    saturation = 1 - display.min(axis=1) / np.maximum(display.max(axis=1), 1e-3)
    assert np.median(saturation) < 0.3 and 0.01 < (saturation > 0.6).mean() < 0.2
    assert grey.std() > 0.02 and 0.25 < display.mean() < 0.65


def test_painted_shapes_have_the_area_of_their_formula():
    side = 100
    canvas = torch.zeros(2, 3, side, side)
    one = np.ones(2)
    white, both = torch.ones(1, 3, 1, 1), torch.ones(2, 2, 3, 1, 1)
    rectangle(canvas, (0.2 * one, 0.3 * one, np.array([0.5, 0.605]), 0.75 * one), white, np.array([1, 0.5]))
    np.testing.assert_allclose(canvas.mean(dim=(1, 2, 3)), [0.3 * 0.45, 0.5 * 0.405 * 0.45], rtol=1e-5)
    for square, factor in ((0.0, np.pi), (1.0, 4.0)):
        canvas = torch.zeros(2, 3, side, side)
        half = (np.array([0.3, 0.2]), np.array([0.1, 0.2]))
        thing(canvas, (0.5 * one, 0.48 * one), half, np.array([0.3, 1.0]), square, both)
        # rims are soft towards the inside: up to a pixel of the outline is lost
        area = factor * half[0] * half[1]
        lost = 4 * (half[0] + half[1]) / side
        found = canvas.mean(dim=(1, 2, 3)).numpy()
        assert (found < area * 1.001).all() and (found > area - 1.2 * lost).all()


def test_shelves_repeat_rows_of_things():
    canvas = draw_shelves(Draws(1, "background", np.arange(40), SURROUNDINGS_DRAWS), 64, CPU)
    along = (canvas[..., 1:] - canvas[..., :-1]).abs().mean()
    assert 0.01 < along < 0.3
    # each line of a board's upper part equals the next one but for the shadow: most of a picture does not
    # change from line to line by more than the shadow's slope
    step = (canvas[:, :, 1:] - canvas[:, :, :-1]).abs()
    assert (step < 0.05).float().mean() > 0.7


def test_enlarge_is_bilinear():
    picture = torch.rand(2, 3, 7, 10, generator=torch.Generator().manual_seed(0))
    expected = interpolate(picture, scale_factor=2, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge(picture), expected, atol=1e-6, rtol=0)


def test_defocus_has_the_stated_width_and_keeps_the_light():
    picture = torch.zeros(4, 1, 81, 81)
    picture[:, :, 40, 40] = 1.0
    defocus(picture, np.array([0.0, 1.0, 2.0, 3.0]))
    profile = picture.sum(dim=(1, 2)).double().numpy()
    np.testing.assert_allclose(profile.sum(axis=1), 1.0, rtol=1e-5)
    offset = np.arange(81) - 40
    np.testing.assert_allclose(
        np.sqrt((profile * offset**2).sum(axis=1)), np.sqrt([0, 0.5, 2.5, 10.5]), atol=1e-3
    )
    assert picture[0, 0, 40, 40] == 1.0


def test_shake_spreads_along_the_path_about_its_middle():
    picture = torch.zeros(2, 1, 61, 61)
    picture[:, :, 30, 30] = 1.0
    shake(picture, np.array([[18.0, -6.0], [0.0, 0.0]]))
    y, x = np.nonzero(picture[0, 0].numpy())
    assert x.max() - x.min() == 18 and y.max() - y.min() == 6
    np.testing.assert_allclose([x.mean(), y.mean()], 30.0, atol=1e-6)
    np.testing.assert_allclose(picture[0, 0].numpy()[y, x], 1 / len(x), rtol=1e-5)
    assert (y - 30 == -np.round((x - 30) / 3)).all()
    assert picture[1, 0, 30, 30] == 1.0


def test_grain_has_shot_and_read_noise():
    light = torch.tensor([0.0, 0.04, 0.25, 1.0])
    picture = light[:, None, None, None].expand(4, 3, 200, 200).clone()
    add_grain(picture, torch.full((4,), 0.01), 0, np.arange(4))
    noise = (picture - light[:, None, None, None]).double()
    expected = 1e-4 * (3.8 * light.double() + 0.05)
    # 120 000 samples with a triangle's kurtosis: 0.4% of standard error
    torch.testing.assert_close(noise.var(dim=(1, 2, 3)), expected, rtol=0.02, atol=0)
    assert (noise.mean(dim=(1, 2, 3)).abs() < 0.02 * expected.sqrt()).all()
    channels = noise[3].reshape(3, -1)
    assert (torch.corrcoef(channels) - torch.eye(3)).abs().max() < 0.03
    beside = torch.corrcoef(torch.stack([noise[3, 0, :, 1:].flatten(), noise[3, 0, :, :-1].flatten()]))[0, 1]
    assert beside.abs() < 0.03


def test_the_rim_is_a_mixture_of_hand_and_background():
    size = 40
    mask, layer = blob(2, size)
    ground = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))
    rgb = take_photograph(layer, mask, ground.clone(), neutral(2), 0, np.arange(2), blur=0.0, noise=0.0)
    cover, kernel = mask[0].double().numpy(), np.outer([1, 2, 1], [1, 2, 1]) / 16
    alpha = correlate(cover, kernel, mode="nearest")
    weight = 0.4 * cover + 0.6 * alpha
    for channel in range(3):
        hand, behind = layer[1, channel].double().numpy(), ground[1, channel].double().numpy()
        spread = correlate(hand, kernel, mode="nearest") / np.maximum(alpha, 0.05)
        light = np.where(cover > 0, hand, spread) * weight + behind * (1 - weight)
        expected = np.sqrt(np.clip(light, 0, 1)) * 255
        assert np.abs(rgb[1, ..., channel].numpy() - expected).max() < 0.51
    assert 0 < ((weight > 0) & (weight < 1)).mean() < 0.3


def test_a_photograph_does_not_depend_on_its_batch():
    mask, layer = blob(20, 48)
    ground, rows = backgrounds(np.arange(20), 48), np.arange(20)
    values = draw_camera_effects(Draws(0, "look", rows, 128))
    options = {"blur": 2.0, "noise": 2.0, "motion": 0.5, "jpeg": (30, 90)}
    together = take_photograph(layer, mask, ground.clone(), values, 0, rows, **options)
    for part in (slice(0, 1), slice(7, 12)):
        some = {name: value[part] for name, value in values.items()}
        alone = take_photograph(layer[part], mask[part], ground[part].clone(), some, 0, rows[part], **options)
        assert torch.equal(together[part], alone)


def test_finish_options_touch_only_what_they_name():
    mask, layer = blob(30, 96)
    ground, rows = backgrounds(np.arange(30), 96), np.arange(30)
    values = draw_camera_effects(Draws(0, "look", rows, 128))

    def take(**options):
        return take_photograph(layer, mask, ground.clone(), values, 0, rows, **options).int()

    plain, moved = take(), take(motion=0.4)
    changed = (plain != moved).flatten(1).any(dim=1).numpy()
    np.testing.assert_array_equal(changed, values["moving"] < 0.4)
    sharp, blurred = take(blur=0.0, noise=0.0), take(blur=3.0, noise=0.0)
    edges = [(p[:, 1:] - p[:, :-1]).abs().float().mean() for p in (blurred, sharp)]
    assert edges[0] < 0.9 * edges[1]
    clean = take(noise=0.0)
    error = [(take(noise=k) - clean).float().square().mean() for k in (1.0, 2.0)]
    assert 3.0 < error[1] / error[0] < 4.5  # variance grows as the square; rounding adds a little
    error = [(take(jpeg=(q, q)) - plain).float().square().mean() for q in (95, 50, 10)]
    assert 0 < error[0] < error[1] < error[2]


def test_occluders_are_shown_as_often_as_asked_and_at_most_half_over_the_hand():
    points = points_of_hands(3000)
    assert not plan(points, 0.0).on.any()
    assert abs(plan(points, 0.3).on.mean() - 0.3) < 0.03  # 3.6 standard deviations
    full = plan(points, 1.0)
    assert full.on.all() and set(full.kind) == set(range(len(OCCLUDERS)))
    assert full.hides(points).any(axis=1).all()  # each lies over a joint
    grid = np.stack(np.meshgrid(*[(np.arange(20) + 0.5) / 20] * 2), axis=-1).reshape(1, -1, 2)
    low, high = points.min(axis=1, keepdims=True), points.max(axis=1, keepdims=True)
    share = full.hides(low + (high - low) * grid).mean(axis=1)
    assert share.max() <= 0.52 and share.mean() > 0.05  # a grid of 20 x 20 errs by some 2%
    some = plan(points, 0.3)
    np.testing.assert_array_equal(some.centre, full.centre)  # probability shifts no other number


def test_occluders_lie_before_the_hand():
    points, size = points_of_hands(40), 96
    things = plan(points, 0.7)
    generator = torch.Generator().manual_seed(0)
    hand = torch.full((40, size, size), 400.0) + 60 * torch.rand(40, size, size, generator=generator)
    hand[:, :10] = 0.0
    depth, layer = hand.clone(), torch.zeros(40, 3, size, size)
    cover = cover_with(things, depth, np.full(40, 200.0), layer)
    np.testing.assert_array_equal(cover.flatten(1).any(dim=1), things.on)
    assert torch.equal(depth[~cover], hand[~cover]) and bool((depth[cover] >= 40).all())
    over = cover & (hand > 0)
    assert (hand[over] - depth[over]).min() > 2.99
    assert (
        bool((layer.permute(0, 2, 3, 1)[cover] > 0).all())
        and layer.permute(0, 2, 3, 1)[~cover].abs().max() == 0
    )
    x, y = np.meshgrid(np.arange(size), np.arange(size))
    pixels = np.tile(np.stack([x, y], axis=-1).reshape(1, -1, 2), (40, 1, 1)).astype(float)
    assert (things.hides(pixels) != cover.flatten(1).numpy()).mean() < 1e-3


def test_a_ball_bulges_by_its_radius():
    points, focal = points_of_hands(200), 150.0
    things = plan(points, 1.0)
    ball = int(np.flatnonzero((things.kind == OCCLUDERS.index("ball")) & (things.half[:, 0] > 9))[0])
    depth = torch.full((200, 96, 96), 300.0)
    cover = cover_with(things, depth, np.full(200, focal))[ball]
    front = 300.0 - things.gap[ball]
    radius_mm = things.half[ball, 0] * front / focal
    found = depth[ball][cover]
    assert abs((front - found.min()) - radius_mm) < 0.02 * radius_mm
    assert (
        front - found.max() < 0.35 * radius_mm
    )  # the outermost pixel lies up to half a pixel inside the rim
    assert abs(float(cover.sum()) / (np.pi * things.half[ball, 0] ** 2) - 1) < 0.06


def test_own_pictures_are_windows_in_linear_light(tmp_path):
    y, x = np.mgrid[:90, :200]
    pixels = np.stack([x, y, 128 + 0 * x], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels).resize((1600, 720)).save(tmp_path / "b.jpg", quality=95)
    for name in ("a.png", "b.jpg"):
        made = read_backgrounds([tmp_path / name], Draws(0, "background", np.arange(12), PICTURE_DRAWS), 32)
        assert made.shape == (12, 3, 32, 32)
        shown = made.sqrt().numpy() * 255
        np.testing.assert_allclose(shown[:, 2], 128, atol=2)
        steps = np.abs(np.diff(shown[:, 0], axis=2)), np.diff(shown[:, 1], axis=1)
        side = 31 * steps[0].mean(axis=(1, 2)) * 32 / 31
        assert (side > 0.38 * 90).all() and (side < 1.04 * 90).all() and np.ptp(side) > 10
        np.testing.assert_allclose(steps[1].mean(axis=(1, 2)), steps[0].mean(axis=(1, 2)), rtol=0.05)
        rightwards = np.diff(shown[:, 0], axis=2).mean(axis=(1, 2)) > 0
        assert rightwards.any() and not rightwards.all()  # some are mirrored
    again = read_backgrounds([tmp_path / "b.jpg"], Draws(0, "background", np.array([7]), PICTURE_DRAWS), 32)
    assert torch.equal(again[0], made[7])


def test_an_unreadable_picture_is_named(tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(InputError, match=r"backgrounds: .*broken\.jpg is .*not a readable picture"):
        read_backgrounds([tmp_path / "broken.jpg"], Draws(0, "background", np.arange(1), PICTURE_DRAWS), 16)
    whole = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(whole)
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"cut\.png"):
        read_backgrounds([whole], Draws(0, "background", np.arange(1), PICTURE_DRAWS), 16)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_paints_the_same_background():
    rows, device = np.arange(24), torch.device("cuda")
    here, there = backgrounds(rows, 64), backgrounds(rows, 64, device=device)
    assert there.device.type == "cuda"
    assert ((here - there.cpu()).abs() > 0.02).float().mean() < 0.01  # float32 coordinates meet pixel borders
    mask, layer = blob(24, 64)
    values, points = draw_camera_effects(Draws(0, "look", rows, 128)), points_of_hands(24)
    depth = 400.0 * mask.float().to(device)
    cover = cover_with(plan(points, 0.5), depth, np.full(24, 200.0), layer.to(device))
    options = {"motion": 0.4, "jpeg": (80, 90)}
    rgb = take_photograph(layer.to(device), mask.to(device) | cover, there, values, 0, rows, **options)
    assert rgb.device.type == "cuda" and rgb.dtype == torch.uint8 and rgb.float().std() > 10
