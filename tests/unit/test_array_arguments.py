"""What is given as an array: tensors and data frames work, what is no numbers is named in the error."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from skhand import HandFrames
from skhand._validation import check_bool, check_mask, check_numbers, check_shape, read_numbers
from skhand.exceptions import CameraError, InputError
from skhand.geometry import (
    affine_crop,
    affine_rotate,
    align_root,
    align_scale,
    apply_affine,
    backproject,
    bone_length,
    bone_lengths,
    decode_25d,
    encode_25d,
    mean_bone_lengths,
    procrustes,
    project,
    recover_scale,
    rotate_points,
    rotation_to_axis,
    rotation_z,
    transform_camera,
)
from skhand.metrics import (
    angle_violations,
    bone_length_error,
    evaluate_predictions,
    joint_angles,
    joint_errors,
    mean_epe,
    median_epe,
    pcf,
    pck,
    pck_auc,
    pckh,
)
from skhand.preprocessing import ImageNormalizer, PoseNormalizer, head_box, warp_images
from skhand.skeleton import convert, root_position

CAMERA = np.array([[100.0, 0.0, 32.0], [0.0, 100.0, 32.0], [0.0, 0.0, 1.0]])
HANDS = np.random.default_rng(0).normal([0.0, 0.0, 500.0], 40.0, (3, 21, 3))
BONES = bone_lengths(HANDS)[0]


def hostile():
    """What is no array of numbers, by what is wrong with it."""
    return {
        "none": None,
        "string": "abc",
        "strings": [["1.0", "2.0"]],
        "ragged": [[1.0, 2.0], [3.0]],
        "dict": {"a": 1.0},
        "set": {1.0, 2.0},
        "object": object(),
        "None inside": [[None, 1.0]],
        "complex": np.ones((2, 2), complex),
        "dates": np.zeros((2, 2), "datetime64[s]"),
        "gradients": torch.zeros(3, 21, 3, requires_grad=True),
        "list of gradients": [torch.zeros(21, 3, requires_grad=True)] * 3,
        "bfloat16": torch.zeros(3, 21, 3, dtype=torch.bfloat16),
        "masked integers": np.ma.masked_array([[1, 2]], [[True, False]]),
        "huge integer": [[10**400]],
    }


CALLS = {
    "joints of align_root": lambda v: align_root(v),
    "y_pred of align_scale": lambda v: align_scale(v, HANDS),
    "y_true of align_scale": lambda v: align_scale(HANDS, v),
    "y_pred of procrustes": lambda v: procrustes(v, HANDS),
    "y_true of procrustes": lambda v: procrustes(HANDS, v),
    "joints of bone_lengths": lambda v: bone_lengths(v),
    "joints of bone_length": lambda v: bone_length(v),
    "joints of mean_bone_lengths": lambda v: mean_bone_lengths(v),
    "joints of recover_scale": lambda v: recover_scale(v, BONES),
    "mean_bones of recover_scale": lambda v: recover_scale(HANDS, v),
    "points of project": lambda v: project(v, CAMERA),
    "camera of project": lambda v: project(HANDS, v),
    "pixels of backproject": lambda v: backproject(v, 1.0, CAMERA),
    "depth of backproject": lambda v: backproject(HANDS[..., :2], v, CAMERA),
    "camera of backproject": lambda v: backproject(HANDS[..., :2], 1.0, v),
    "degrees of rotation_z": lambda v: rotation_z(v),
    "degrees of affine_rotate": lambda v: affine_rotate(v, [1.0, 2.0]),
    "centre of affine_rotate": lambda v: affine_rotate(30.0, v),
    "points of rotation_to_axis": lambda v: rotation_to_axis(v),
    "points of rotate_points": lambda v: rotate_points(v, np.eye(3)),
    "rotation of rotate_points": lambda v: rotate_points(HANDS, v),
    "camera of transform_camera": lambda v: transform_camera(v, np.eye(3)),
    "affine of transform_camera": lambda v: transform_camera(CAMERA, v),
    "affine of apply_affine": lambda v: apply_affine(v, HANDS[..., :2]),
    "pixels of apply_affine": lambda v: apply_affine(np.eye(3), v),
    "box of affine_crop": lambda v: affine_crop(v, 8),
    "size of affine_crop": lambda v: affine_crop([0.0, 0.0, 5.0, 5.0], v),
    "joints of encode_25d": lambda v: encode_25d(v, CAMERA),
    "points of decode_25d": lambda v: decode_25d(v, CAMERA),
    "joints of convert": lambda v: convert(v, "canonical", "rhd"),
    "joints of root_position": lambda v: root_position(v),
    "y_true of joint_errors": lambda v: joint_errors(v, HANDS),
    "y_pred of mean_epe": lambda v: mean_epe(HANDS, v),
    "y_pred of median_epe": lambda v: median_epe(HANDS, v),
    "threshold of pck": lambda v: pck(HANDS, HANDS, v),
    "threshold of pcf": lambda v: pcf(HANDS, HANDS, v),
    "head_size of pckh": lambda v: pckh(HANDS, HANDS, v),
    "y_pred of pck_auc": lambda v: pck_auc(HANDS, v),
    "y_true of bone_length_error": lambda v: bone_length_error(v, HANDS),
    "y_pred of bone_length_error": lambda v: bone_length_error(HANDS, v),
    "y of joint_angles": lambda v: joint_angles(v, "left"),
    "y of angle_violations": lambda v: angle_violations(v, "left"),
    "side of joint_angles": lambda v: joint_angles(HANDS, v),
    "y_pred of evaluate_predictions": lambda v: evaluate_predictions(HANDS, v, protocol="freihand"),
    "X of PoseNormalizer": lambda v: PoseNormalizer().fit(v),
    "scale of PoseNormalizer": lambda v: PoseNormalizer().inverse_transform(
        HANDS, scale=() if v is None else v
    ),
    "X of ImageNormalizer": lambda v: ImageNormalizer().fit(v),
    "images of warp_images": lambda v: warp_images(v, np.eye(3), 8),
    "affine of warp_images": lambda v: warp_images(np.zeros((1, 4, 4)), v, 8),
    "centre of head_box": lambda v: head_box(v, [1.0]),
    "head_length of head_box": lambda v: head_box([[1.0, 2.0]], v),
    **{
        f"{name} of HandFrames": lambda v, name=name: HandFrames(**{"score": np.ones(3), name: v})
        for name in ("rgb", "depth", "mask", "keypoints2d", "visible", "pose3d", "table", "camera", "side")
        + ("scale", "root", "box", "affine", "rotation", "picture")
    },
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_array_of_numbers_is_named(call):
    name = call.split(" of ")[0]
    for kind, value in hostile().items():
        if value is None and call.endswith("of HandFrames"):
            continue  # no column
        with pytest.raises(InputError, match=f"^{name}( |:)"):
            CALLS[call](value)
            pytest.fail(f"accepted: {kind}")


def test_a_table_given_for_an_array_says_what_to_do():
    with pytest.raises(InputError, match=r"^joints: a HandFrames is a table.*take a column"):
        bone_lengths(HandFrames(pose3d=HANDS))


SAME = {
    "tensor": torch.tensor,
    "list of tensors": lambda y: list(torch.tensor(y)),
    "nested lists": lambda y: y.tolist(),
    "objects": lambda y: y.astype(object),
    "nothing masked": lambda y: np.ma.masked_array(y, np.zeros(y.shape, bool)),
}


@pytest.mark.parametrize("kind", SAME)
def test_array_likes_give_what_their_array_gives(kind):
    value = SAME[kind](HANDS)
    np.testing.assert_array_equal(bone_lengths(value), bone_lengths(HANDS))
    np.testing.assert_array_equal(project(value, CAMERA), project(HANDS, CAMERA))
    assert mean_epe(HANDS, value) == 0
    np.testing.assert_array_equal(HandFrames(pose3d=value).pose3d, HANDS)


def test_data_frames_are_arrays():
    table = pd.DataFrame(HANDS.reshape(3, 63))
    assert mean_epe(HANDS, table) == 0
    np.testing.assert_array_equal(HandFrames(table=table, scale=pd.Series([1, 2, 3])).scale, [1, 2, 3])


def test_unsigned_joints_do_not_wrap_around():
    """(200 + 100) / 2 is 150, and 44 where the sum is taken in 8 bits; a bone from 200 to 100 is 100 long."""
    joints = np.zeros((21, 3), np.uint8)
    joints[0, 0], joints[9, 0] = 200, 100
    assert root_position(joints, "palm").tolist() == [150, 0, 0]
    assert align_root(joints, "wrist")[9, 0] == -100
    assert bone_length(joints, ("wrist", "middle_mcp")) == 100


def test_half_precision_joints_do_not_overflow():
    """300 squared is beyond what float16 holds."""
    joints = np.zeros((21, 3), np.float16)
    joints[1:, 0] = 300
    assert bone_lengths(joints)[0] == 300


INFINITE = {
    "affine": lambda: apply_affine(np.diag([np.inf, 1.0, 1.0]), [[1.0, 2.0]]),
    "pixels": lambda: apply_affine(np.eye(3), [[np.inf, 2.0]]),
    "points": lambda: project([[0.0, np.inf, 1.0]], CAMERA),
    "depth": lambda: backproject([[1.0, 2.0]], np.inf, CAMERA),
    "degrees": lambda: rotation_z(np.inf),
    "centre": lambda: affine_rotate(30.0, [np.inf, 0.0]),
    "rotation": lambda: rotate_points(HANDS, np.full((3, 3), np.inf)),
    "joints": lambda: bone_lengths(np.full((21, 3), np.inf)),
    "scale": lambda: decode_25d(HANDS, CAMERA, np.inf),
    "head_length": lambda: head_box([[1.0, 2.0]], [np.inf]),
    "root": lambda: PoseNormalizer(scale_bone=None).inverse_transform(HANDS, root=[0.0, 0.0, np.inf]),
}


@pytest.mark.parametrize("name", INFINITE)
def test_infinity_is_named(name):
    with pytest.raises(InputError, match=f"^{name}: expected finite|^{name}: expected lengths above 0"):
        INFINITE[name]()


@pytest.mark.parametrize("scale", [-1.0, 0.0, [1.0, -2.0, 3.0]])
def test_a_hand_is_not_put_behind_the_camera_by_its_scale(scale):
    points = encode_25d(HANDS, CAMERA).points
    with pytest.raises(InputError, match="^scale: expected lengths above 0"):
        decode_25d(points, CAMERA, scale)
    with pytest.raises(InputError, match="^scale: expected finite numbers > 0"):
        PoseNormalizer().inverse_transform(HANDS, scale=scale)


@pytest.mark.parametrize("bone", [(0, 1), ("wrist",), "wrist", None, ("wrist", 3)])
def test_coding_and_decoding_take_the_same_bones(bone):
    for call in (encode_25d, decode_25d):
        with pytest.raises(InputError, match="^bone: expected"):
            call(HANDS, CAMERA, bone=bone)


def test_a_pixel_that_a_homography_moves_to_infinity_is_not_known():
    homography = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, -5.0]]  # the third coordinate is u - 5
    moved = apply_affine(homography, [[5.0, 1.0], [7.0, 4.0]])
    np.testing.assert_array_equal(moved, [[np.nan, np.nan], [3.5, 2.0]])


def test_poses_relative_to_their_root_are_not_projected_in_silence():
    hands = HANDS - HANDS[:, :1]
    with pytest.warns(UserWarning, match="^points: .* do not lie in front of the camera .*root"):
        project(hands, CAMERA)


@pytest.mark.parametrize("value", [[True, False], [1, 0], [1.0, 0.0], np.array([True, False])])
def test_masks_are_truth_values(value):
    mask = check_mask(value, "seen", (2,))
    assert mask.dtype == bool and mask.tolist() == [True, False]


@pytest.mark.parametrize("odd", [np.nan, 0.3, -1, "False", None, 2])
def test_what_is_neither_true_nor_false_is_no_mask(odd):
    with pytest.raises(InputError, match="^seen: expected"):
        check_mask([True, odd], "seen", (2,))
    with pytest.raises(InputError, match="^visible: expected"):
        HandFrames(visible=[[True, odd]])
    with pytest.raises(InputError, match="^visible: expected"):
        joint_errors(HANDS[:1, :2], HANDS[:1, :2], visible=[[True, odd]])


@pytest.mark.parametrize("value", [1, 0, "yes", None, np.nan, [True]])
def test_what_is_neither_true_nor_false_is_no_switch(value):
    assert check_bool(np.True_, "switch") is True and check_bool(False, "switch") is False
    with pytest.raises(InputError, match="^switch: expected one of True, False, got"):
        check_bool(value, "switch")


def test_numbers_are_checked_one_by_one():
    with pytest.raises(InputError, match=r"^x: expected finite numbers > 0, got 0 \(first at \(1, 0\)\)"):
        check_numbers([[1.0], [0.0]], "x", ("n", 1), low=0, include_low=False)
    with pytest.raises(InputError, match="^x: expected finite numbers, got nan"):
        check_numbers([np.nan], "x", (1,))
    assert np.isnan(check_numbers([np.nan], "x", (1,), low=0, allow_nan=True)).all()
    assert check_numbers(np.ones(1, np.float32), "x", (1,), keep_single=True).dtype == np.float32
    assert check_numbers([1], "x", (1,)).dtype == np.float64
    assert check_shape(torch.ones(2, 3), "x", ("n", 3)).shape == (2, 3)
    assert read_numbers([True, False], "x").dtype == bool


def test_cameras_that_are_no_numbers_are_camera_errors():
    for camera in (None, "camera", [[["1", "0", "0"]] * 3], torch.eye(3, requires_grad=True)):
        with pytest.raises(CameraError, match="^camera: expected camera matrices"):
            project(HANDS, camera)
