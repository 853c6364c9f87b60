"""Modalities: the registry, and codecs there and back."""

from __future__ import annotations

import importlib
import pkgutil

import numpy as np
import pytest
import torch

from skhand.exceptions import InputError
from skhand.skeleton import root_position
from skhand.training import DECODERS, MODALITIES, CodecSettings, Layers, modalities
from skhand.training.modalities._vector import VectorCodec
from skhand.training.modalities.depth import DepthCodec
from skhand.training.modalities.mask import MaskCodec
from skhand.training.modalities.pose3d import PoseCodec
from skhand.training.modalities.rgb import RGBCodec

# ---------------------------------------------------------------- the registry


def rows_of_all(rng, n=12):
    """Rows of every modality."""
    return {
        "rgb": rng.integers(0, 256, (n, 16, 16, 3), dtype=np.uint8),
        "depth": rng.uniform(450, 550, (n, 16, 16)),
        "mask": rng.integers(0, 2, (n, 16, 16)).astype(bool),
        "keypoints2d": rng.uniform(0, 16, (n, 21, 2)),
        "pose3d": rng.normal(0, 60, (n, 21, 3)),
        "table": rng.normal(size=(n, 7)),
    }


def test_each_module_adds_its_modality_under_its_own_name():
    modules = {info.name for info in pkgutil.iter_modules(modalities.__path__) if info.name[0] != "_"}
    assert modules == set(MODALITIES)
    for name, record in MODALITIES.items():
        assert record is importlib.import_module(f"{modalities.__name__}.{name}").MODALITY
        assert record.name == name
    orders = [record.order for record in MODALITIES.values()]
    assert orders == sorted(orders)
    assert next(iter(MODALITIES)) == "rgb"  # what "auto" takes first
    assert [name for name, record in MODALITIES.items() if record.is_image] == ["rgb", "depth", "mask"]


def test_an_array_is_taken_for_the_modality_of_its_shape(rng):
    for name, array in rows_of_all(rng).items():
        found = [other for other, record in MODALITIES.items() if record.matches(array.shape, array.dtype)]
        assert found == ([] if name == "table" else [name])


@pytest.mark.parametrize("name", MODALITIES)
def test_every_modality_goes_through_its_codec_its_encoder_and_its_decoder(rng, name):
    record, rows = MODALITIES[name], rows_of_all(rng)[name]
    assert record.as_rows(rows) is rows
    record.check_values(rows)
    codec = record.fit_codec({name: rows}, np.arange(len(rows)), CodecSettings())
    coded = codec.encode({name: torch.from_numpy(rows)})
    assert coded.dtype == torch.float32
    layers = Layers(backbone="small", hidden_units=8, n_hidden_layers=1)
    mean, log_var = record.encoder(rows.shape[1:], 5, layers)(coded, None)
    assert mean.shape == log_var.shape == (len(rows), 5)
    output = record.decoder(rows.shape[1:], 5, layers)(mean)
    assert output.shape == coded.shape
    assert codec.decode(output, {}).shape == rows.shape
    back = codec.decode(coded, {}).numpy()
    np.testing.assert_allclose(back.astype(float), rows.astype(float), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("name", MODALITIES)
def test_rows_of_another_shape_are_refused_by_name(rng, name):
    wrong = {
        "table": np.zeros((3, 4, 5)),
        "pose3d": np.zeros((3, 21, 2)),
        "keypoints2d": np.zeros((3, 21, 3)),
    }
    with pytest.raises(InputError, match=f"X: expected {name} of shape"):
        MODALITIES[name].as_rows(wrong.get(name, np.zeros((3, 4))))


def test_flat_rows_get_their_shape_back(rng):
    for name, array in rows_of_all(rng).items():
        flat = array.reshape(len(array), -1)
        shape = array.shape[1:] if MODALITIES[name].is_image else None
        assert np.array_equal(MODALITIES[name].unflatten(flat, shape, "Estimator"), array)
    with pytest.raises(InputError, match="image_shape"):
        MODALITIES["mask"].unflatten(np.zeros((2, 9)), None, "Estimator")
    with pytest.raises(InputError, match="Estimator is expecting 8 features"):
        MODALITIES["mask"].unflatten(np.zeros((2, 9)), (2, 4), "Estimator")


def test_values_that_are_none_of_a_modality_are_refused():
    wrong = {
        "rgb": np.full((2, 4, 4, 3), 1.5), "depth": np.full((2, 4, 4), -1.0), "mask": np.zeros((2, 4, 4)),
        "keypoints2d": np.full((2, 21, 2), np.inf), "pose3d": np.full((2, 21, 3), np.inf),
    }  # fmt: skip
    for name, rows in wrong.items():
        with pytest.raises(InputError, match="X: expected"):
            MODALITIES[name].check_values(rows)


def test_each_kind_of_decoder_can_be_named():
    for name, kind in DECODERS.items():
        layers = Layers(decoder=name, hidden_units=8, n_hidden_layers=2)
        assert type(MODALITIES["pose3d"].decoder((21, 3), 4, layers)) is kind


# ---------------------------------------------------------------- codecs


def test_a_mask_is_half_above_and_half_below_zero_and_comes_back(rng):
    mask = torch.from_numpy(rng.integers(0, 2, (5, 8, 6)).astype(bool))
    coded = MaskCodec().encode({"mask": mask})
    assert coded.shape == (5, 1, 8, 6)
    assert torch.equal(coded[:, 0], torch.where(mask, 0.5, -0.5))
    decoded = MaskCodec().decode(coded, {})
    assert decoded.dtype == torch.bool
    assert torch.equal(decoded, mask)
    assert torch.equal(MaskCodec().decode(0.01 * coded.bfloat16(), {}), mask)  # how sure does not matter


def test_a_pose_codec_goes_there_and_back_with_root_and_scale(rng):
    poses = rng.normal(0, 60, (40, 21, 3)) + [10, -20, 600]
    scale = rng.uniform(20, 30, 40)
    codec = PoseCodec.fit_poses(poses, "palm", scale)
    batch = {"pose3d": torch.from_numpy(poses), "scale": torch.from_numpy(scale)}
    encoded = codec.encode(batch)
    relative = (poses - root_position(poses, "palm")[:, None]) / scale[:, None, None]
    flat = relative.reshape(40, -1)
    expected = (flat - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0).mean())
    np.testing.assert_allclose(encoded, expected, atol=1e-5)
    np.testing.assert_allclose(
        codec.decode(encoded, batch), poses - root_position(poses, "palm")[:, None], atol=1e-3
    )


def test_a_pose_codec_without_anything_given_keeps_the_position(rng):
    poses = rng.normal(0, 60, (40, 14, 3)) + [10, -20, 600]
    codec = PoseCodec.fit_poses(poses, None, None)
    batch = {"pose3d": torch.from_numpy(poses)}
    np.testing.assert_allclose(codec.decode(codec.encode(batch), batch), poses, atol=1e-3)


def test_a_joint_that_no_row_knows_harms_no_other_and_decodes_to_nan(rng):
    poses = rng.normal(0, 60, (40, 21, 3))
    partly = poses.copy()
    partly[:, 4] = np.nan
    partly[:5, 8] = np.nan
    codec, whole = PoseCodec.fit_poses(partly, 0, None), PoseCodec.fit_poses(poses, 0, None)
    assert codec.std[0] == pytest.approx(whole.std[0], rel=0.05)
    decoded = codec.decode(torch.zeros(3, 63), {}).numpy()
    assert np.isnan(decoded[:, 4]).all()
    assert np.isfinite(np.delete(decoded, 4, axis=1)).all()


def test_a_vector_codec_standardises_columns_or_all_by_one(rng):
    rows = rng.normal(5, [1.0, 10.0], (500, 2))
    rows[:3, 0] = np.nan
    tensor = {"x": torch.from_numpy(rows[3:])}
    each = VectorCodec.fit("x", rows, isotropic=False).encode(tensor).numpy()
    np.testing.assert_allclose(each.std(axis=0), 1.0, atol=0.02)
    both = VectorCodec.fit("x", rows, isotropic=True).encode(tensor).numpy()
    assert both.std(axis=0)[1] / both.std(axis=0)[0] == pytest.approx(10, rel=0.2)


def test_a_constant_column_is_not_divided_by_zero():
    encoded = VectorCodec.fit("x", np.full((5, 2), 3.0), isotropic=False).encode(
        {"x": torch.full((5, 2), 3.0)}
    )
    assert (encoded == 0).all()


def test_colours_come_back_to_the_bit(rng):
    rgb = torch.from_numpy(rng.integers(0, 256, (3, 8, 6, 3), dtype=np.uint8))
    codec = RGBCodec()
    assert torch.equal(codec.decode(codec.encode({"rgb": rgb}), {}), rgb)
    same = codec.encode({"rgb": rgb.float() / 255})
    assert torch.equal(codec.encode({"rgb": rgb}), same)


def test_depth_is_centred_unmeasured_is_far_and_comes_back(rng):
    depth = np.zeros((20, 8, 8), np.float32)
    depth[:, 2:6, 2:6] = rng.uniform(450, 550, (20, 4, 4))
    codec = DepthCodec.fit(depth, relative=False)
    encoded = codec.encode({"depth": torch.from_numpy(depth)})
    assert encoded.shape == (20, 1, 8, 8)
    assert (encoded[:, 0, 0] == 0.5).all()
    assert encoded.abs().max() <= 0.5
    np.testing.assert_allclose(codec.decode(encoded, {}), depth, atol=0.01)


def test_relative_depth_does_not_know_how_far_the_hand_is(rng):
    depth = np.zeros((4, 8, 8), np.float32)
    depth[:, 2:6, 2:6] = rng.uniform(450, 550, (4, 4, 4))
    codec = DepthCodec.fit(depth, relative=True)
    further = np.where(depth > 0, depth + 300, 0).astype(np.float32)
    near, far = (codec.encode({"depth": torch.from_numpy(d)}) for d in (depth, further))
    torch.testing.assert_close(near, far, atol=1e-4, rtol=0)
    nothing = codec.encode({"depth": torch.zeros(2, 8, 8)})
    assert (nothing == 0.5).all()
