"""Laws that hold for any numbers: round trips, invariances, equivariances and identities.

Hypothesis looks for numbers that break them, each time the same ones.
"""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skhand import HandFrames, concat_frames
from skhand.geometry import (
    affine_crop,
    affine_mirror,
    affine_rotate,
    align_root,
    align_scale,
    apply_affine,
    backproject,
    bone_lengths,
    decode_25d,
    encode_25d,
    procrustes,
    project,
    recover_scale,
    rotate_points,
    rotation_to_axis,
    rotation_z,
    transform_camera,
)
from skhand.metrics import (
    bone_length_error,
    joint_angles,
    joint_errors,
    mean_epe,
    median_epe,
    pcf,
    pck,
    pck_auc,
    pck_curve,
)
from skhand.preprocessing import (
    HandCropper,
    HandMirror,
    Pose25D,
    PoseNormalizer,
    ViewAligner,
    warp_images,
)
from skhand.skeleton import LAYOUTS, convert

pytestmark = pytest.mark.filterwarnings("ignore:.*lie around the origin")  # as any numbers do
ROOTS = st.sampled_from(["palm", "wrist", "middle_mcp", 9, 20])
N = 3


def numbers(low, high):
    return st.floats(low, high, width=32)


@st.composite
def rotations(draw):
    """Any rotation: of a unit quaternion."""
    quaternion = draw(arrays(np.float64, 4, elements=numbers(-1, 1)))
    length = np.linalg.norm(quaternion)
    assume(length > 0.1)
    w, x, y, z = quaternion / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


@st.composite
def cameras(draw):
    """One camera, or one a row, with unequal focal lengths and a skew."""
    n = draw(st.sampled_from([(), (N,)]))
    fx, fy = (draw(arrays(np.float64, n, elements=numbers(50, 2000))) for _ in range(2))
    skew, cx, cy = (draw(arrays(np.float64, n, elements=numbers(-300, 300))) for _ in range(3))
    zero, one = np.zeros(n), np.ones(n)
    flat = np.stack([fx, skew, cx, zero, fy, cy, zero, zero, one], axis=-1)
    return flat.reshape(*n, 3, 3)


@st.composite
def affines(draw):
    """A crop, a turn and a mirror, one after the other; they have an inverse."""
    box = [draw(numbers(-50, 50)), draw(numbers(-50, 50)), draw(numbers(5, 300)), draw(numbers(5, 300))]
    size = (draw(st.integers(8, 256)), draw(st.integers(8, 256)))
    turn = affine_rotate(draw(numbers(-180, 180)), [draw(numbers(0, 64)), draw(numbers(0, 64))])
    mirror = affine_mirror(size[1]) if draw(st.booleans()) else np.eye(3)
    return mirror @ turn @ affine_crop(box, size)


def points(n_joints=21, n_dims=3, size=100.0):
    return arrays(np.float64, (N, n_joints, n_dims), elements=numbers(-size, size))


@st.composite
def hands(draw):
    """Hands (3, 21, 3), mm, in front of the camera, all of whose bones have a length."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    centre = [draw(numbers(-100, 100)), draw(numbers(-100, 100)), draw(numbers(400, 2000))]
    return rng.normal(centre, draw(numbers(10, 60)), (N, 21, 3))


def close(got, wanted, tolerance=1e-6):
    scale = max(1.0, float(np.nanmax(np.abs(wanted), initial=0.0)))
    np.testing.assert_allclose(got, wanted, atol=tolerance * scale, rtol=0)


# ---------------------------------------------------------------------- geometry


@given(hands(), cameras())
def test_a_pixel_and_its_depth_are_the_point(joints, camera):
    close(backproject(project(joints, camera), joints[..., 2], camera), joints)


@given(points(n_dims=2, size=1000), cameras(), numbers(1, 5000))
def test_what_is_found_behind_a_pixel_is_seen_there(pixels, camera, depth):
    close(project(backproject(pixels, depth, camera), camera), pixels)


@given(hands(), cameras(), numbers(0.015625, 64))
def test_a_picture_does_not_tell_near_and_small_from_far_and_large(joints, camera, factor):
    close(project(factor * joints, camera), project(joints, camera))


@given(hands(), cameras(), affines(), numbers(-180, 180), st.booleans())
def test_the_changed_camera_sees_points_where_the_picture_went(joints, camera, affine, degrees, mirrored):
    turn = rotation_z(degrees) @ np.diag([-1.0 if mirrored else 1.0, 1.0, 1.0])
    seen = apply_affine(affine, project(joints, camera))
    close(project(rotate_points(joints, turn), transform_camera(camera, affine, turn)), seen, 1e-5)


@given(affines(), affines(), points(n_dims=2))
def test_changes_of_the_picture_chain_and_can_be_undone(first, second, pixels):
    moved = apply_affine(second, apply_affine(first, pixels))
    close(apply_affine(second @ first, pixels), moved)
    close(apply_affine(np.linalg.inv(first), apply_affine(first, pixels)), pixels)


@given(numbers(-500, 500), numbers(-500, 500), numbers(0.5, 500), numbers(0.5, 500), st.integers(1, 400))
def test_a_crop_shows_its_box_from_edge_to_edge(x, y, width, height, size):
    corners = apply_affine(
        affine_crop([x, y, width, height], (size, 2 * size)), [[x, y], [x + width, y + height]]
    )
    close(corners, [[-0.5, -0.5], [2 * size - 0.5, size - 0.5]])


@given(numbers(-360, 360), numbers(-360, 360), arrays(np.float64, 2, elements=numbers(-100, 100)))
def test_turns_add_up_and_leave_their_centre(one, other, centre):
    close(affine_rotate(one, centre) @ affine_rotate(other, centre), affine_rotate(one + other, centre))
    close(apply_affine(affine_rotate(one, centre), centre), centre)


@given(arrays(np.float64, (N, 2), elements=numbers(-1000, 1000)), numbers(1, 1000), numbers(0.015625, 64))
def test_the_view_is_turned_to_the_point_and_no_further(xy, z, factor):
    point = np.concatenate([xy, np.full((N, 1), z)], axis=1)
    turn = rotation_to_axis(point)
    close(turn @ np.swapaxes(turn, 1, 2), np.broadcast_to(np.eye(3), (N, 3, 3)))
    assert (np.linalg.det(turn) > 0).all()
    seen = rotate_points(point, turn)
    close(seen[:, :2], np.zeros((N, 2)), 1e-6 * np.abs(point).max())
    close(seen[:, 2], np.linalg.norm(point, axis=1))
    close(rotation_to_axis(factor * point), turn)


@given(points(), rotations())
def test_rotations_keep_distances_and_can_be_undone(joints, turn):
    turned = rotate_points(joints, turn)
    close(bone_lengths(turned), bone_lengths(joints))
    close(rotate_points(turned, turn.T), joints)


@given(points(), arrays(np.float64, 3, elements=numbers(-1000, 1000)), ROOTS)
def test_where_a_hand_is_does_not_matter_relative_to_its_root(joints, shift, root):
    close(align_root(joints + shift, root), align_root(joints, root), 1e-9)
    close(align_root(align_root(joints, root), root), align_root(joints, root), 1e-12)


@given(hands(), hands(), numbers(0.125, 8), ROOTS)
def test_the_size_of_a_prediction_does_not_matter_once_it_is_aligned(y_pred, y_true, factor, root):
    centre = y_pred - align_root(y_pred, root)
    scaled = centre + factor * align_root(y_pred, root)
    close(align_scale(scaled, y_true, root=root), align_scale(y_pred, y_true, root=root))
    close(
        align_root(align_scale(centre + factor * align_root(y_true, root), y_true, root=root), root),
        align_root(y_true, root),
    )


@given(hands(), hands(), rotations(), numbers(0.125, 8), arrays(np.float64, 3, elements=numbers(-500, 500)))
def test_procrustes_takes_out_any_similarity_and_only_that(y_pred, y_true, turn, factor, shift):
    moved = factor * rotate_points(y_pred, turn) + shift
    aligned = procrustes(y_pred, y_true)
    close(procrustes(moved, y_true), aligned)
    close(procrustes(moved, y_pred), y_pred)
    rms = [((pred - y_true) ** 2).sum(axis=(1, 2)) for pred in (aligned, y_pred, align_scale(y_pred, y_true))]
    assert (rms[0] <= rms[1] + 1e-6).all() and (rms[0] <= rms[2] + 1e-6).all()


@given(hands(), numbers(0.125, 8), rotations())
def test_bones_grow_with_the_hand_and_tell_its_size(joints, factor, turn):
    close(bone_lengths(factor * joints), factor * bone_lengths(joints))
    close(bone_lengths(rotate_points(joints, turn) + 5.0), bone_lengths(joints))
    close(recover_scale(joints[:1] / factor, bone_lengths(joints[0])), [factor])


# ---------------------------------------------------------------------- conversions


@given(hands(), cameras(), ROOTS)
def test_two_and_a_half_dimensions_hold_the_pose(joints, camera, root):
    points, scale = encode_25d(joints, camera, root=root)
    decoded = decode_25d(points, camera, scale, root=root)
    sure = ~(decoded.ambiguous | decoded.clamped)
    close(decoded.joints[sure], joints[sure], 1e-4)
    close(encode_25d(3 * joints, camera, root=root).points, points)


@given(hands(), cameras(), numbers(0.125, 8))
def test_a_decoded_hand_is_as_large_as_its_bone(joints, camera, factor):
    points, scale = encode_25d(joints, camera)
    one, other = (decode_25d(points, camera, length).joints for length in (scale, factor * scale))
    close(other, factor * one)


@given(hands(), st.sampled_from(["rhd", "msra21", "freihand", "mediapipe"]))
def test_layouts_of_the_same_joints_are_one_another_reordered(joints, name):
    there = convert(joints, "canonical", name)
    np.testing.assert_array_equal(convert(there, name, "canonical"), joints)
    assert len(LAYOUTS[name]) == 21
    np.testing.assert_array_equal(np.sort(there, axis=1), np.sort(joints, axis=1))


@given(hands(), ROOTS)
def test_normalised_poses_come_back(joints, root):
    normaliser = PoseNormalizer(root=root)
    table = normaliser.fit_transform(HandFrames(pose3d=joints))
    close(normaliser.inverse_transform(table).pose3d, joints)
    close(normaliser.transform(7 * joints), table.pose3d)


# ---------------------------------------------------------------------- crops of tables


def table_of(joints, camera, side="left"):
    pixels = project(joints, camera)
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    return HandFrames(
        pose3d=joints,
        root=joints[:, 0],
        camera=camera,
        keypoints2d=pixels,
        box=np.concatenate([low, high - low], axis=1),
        side=side,
    )


PINHOLE = np.array([[600.0, 0.0, 320.0], [0.0, 580.0, 240.0], [0.0, 0.0, 1.0]])
CHANGES = st.sampled_from(
    [
        HandCropper(48),
        HandCropper((32, 64), margin=1.5),
        HandMirror(width=640),
        ViewAligner(),
        ViewAligner(point="palm"),
    ]
)


@given(hands(), st.lists(CHANGES, min_size=1, max_size=3), st.sampled_from(["left", "right"]))
def test_tables_that_were_changed_still_fit_together_and_come_back(joints, changes, side):
    before = after = table_of(joints, PINHOLE, side)
    for change in changes:
        after = change.fit_transform(after)
    close(project(after.pose3d, after.camera), after.keypoints2d, 1e-4)
    close(after.root, after.pose3d[:, 0])
    back = changes[-1].inverse_transform(after)
    if isinstance(changes[-1], HandMirror):
        back = HandCropper().inverse_transform(back)  # a mirror undoes its own change only
    for name in ("pose3d", "root", "keypoints2d", "camera"):
        close(getattr(back, name), getattr(before, name), 1e-4)
    assert back.side.tolist() == before.side.tolist()


@given(hands())
def test_tables_in_pixels_and_depths_come_back(joints):
    encoder = Pose25D()
    table = encoder.fit_transform(table_of(joints, PINHOLE))
    decoded = decode_25d(table.pose3d, PINHOLE, table.scale)
    np.testing.assert_array_equal(encoder.inverse_transform(table).pose3d, decoded.joints)


@given(
    arrays(np.uint8, (2, 7, 9)), st.integers(-3, 8), st.integers(-3, 6), st.integers(1, 9), st.integers(1, 9)
)
def test_a_crop_of_whole_pixels_is_the_slice(pictures, x, y, width, height):
    affine = affine_crop([x - 0.5, y - 0.5, width, height], (height, width))
    padded = np.pad(pictures, [(0, 0), (12, 12), (12, 12)])
    wanted = padded[:, y + 12 : y + 12 + height, x + 12 : x + 12 + width]
    for order in (0, 1):
        np.testing.assert_array_equal(warp_images(pictures, affine, (height, width), order=order), wanted)


# ---------------------------------------------------------------------- metrics


@given(points(), points())
def test_an_error_is_a_distance(one, other):
    errors = joint_errors(one, other)
    close(joint_errors(other, one), errors, 1e-12)
    assert (joint_errors(one, one) == 0).all() and (errors >= 0).all()
    third = np.zeros_like(one)
    assert (errors <= joint_errors(one, third) + joint_errors(third, other) + 1e-9).all()
    close(mean_epe(one, other), np.sqrt(((one - other) ** 2).sum(axis=2)).mean())


@given(hands(), hands(), rotations(), arrays(np.float64, 3, elements=numbers(-500, 500)))
def test_errors_do_not_see_what_is_aligned(y_true, y_pred, turn, shift):
    for align in ("root", "root+scale", "procrustes"):
        close(mean_epe(y_true, y_pred + shift, align=align), mean_epe(y_true, y_pred, align=align))
    close(
        mean_epe(y_true, 2 * rotate_points(y_pred, turn) + shift, align="procrustes"),
        mean_epe(y_true, y_pred, align="procrustes"),
    )
    close(mean_epe(rotate_points(y_true, turn), rotate_points(y_pred, turn)), mean_epe(y_true, y_pred))


@given(points(), points(), st.permutations(range(N)), arrays(bool, (N, 21)))
def test_errors_do_not_depend_on_the_order_of_rows_nor_on_what_is_unseen(y_true, y_pred, order, seen):
    assume(seen.any())
    order = list(order)
    hidden = np.where(seen[..., None], y_true, np.nan)
    for metric in (mean_epe, median_epe, pck_auc):
        score = metric(y_true, y_pred, visible=seen)
        close(metric(y_true[order], y_pred[order], visible=seen[order]), score, 1e-12)
        close(metric(hidden, np.where(seen[..., None], y_pred, 1e6)), score, 1e-12)
    scores = [mean_epe(y_true, y_pred, average=average) for average in ("joints", "frames", "pooled")]
    close(scores, np.full(3, scores[0]), 1e-12)


@given(points(), points())
def test_more_is_correct_within_more(y_true, y_pred):
    thresholds, fractions = pck_curve(y_true, y_pred, thresholds=(0, 400, 30))
    assert (np.diff(fractions) >= 0).all() and fractions[-1] == 1
    close(fractions, [(joint_errors(y_true, y_pred) <= limit).mean() for limit in thresholds], 1e-12)
    assert 0 <= pck_auc(y_true, y_pred) <= 1 and pck_auc(y_true, y_true) == 1
    for limit in (20.0, 100.0):
        assert pcf(y_true, y_pred, limit) <= pck(y_true, y_pred, limit) + 1e-12


@given(hands(), rotations(), numbers(0.125, 8), arrays(np.float64, 3, elements=numbers(-500, 500)))
def test_a_hand_bends_the_same_wherever_it_is(joints, turn, factor, shift):
    angles = joint_angles(joints, "right")
    for moved, side in (
        (factor * rotate_points(joints, turn) + shift, "right"),
        (joints * [-1.0, 1.0, 1.0], "left"),
    ):
        off = np.abs(joint_angles(moved, side) - angles)
        assert np.minimum(off, 360 - off).max() < 1e-4
    assert bone_length_error(joints, rotate_points(joints, turn) + shift) < 1e-6


# ---------------------------------------------------------------------- tables of hands


ROWS = st.lists(st.integers(-5, 4), max_size=7)


def same(one, other):
    assert one.columns == other.columns and len(one) == len(other)
    for name in one.columns:
        np.testing.assert_array_equal(np.asarray(getattr(one, name)), np.asarray(getattr(other, name)))


@st.composite
def tables(draw):
    """Five hands, some of them not known."""
    n = 5
    pose = draw(arrays(np.float64, (n, 4, 3), elements=st.one_of(numbers(-100, 100), st.just(np.nan))))
    return HandFrames(
        rgb=draw(arrays(np.uint8, (n, 2, 3, 3))),
        pose3d=pose,
        visible=draw(arrays(bool, (n, 4))),
        side=draw(st.lists(st.sampled_from(["left", "right"]), min_size=n, max_size=n)),
        scale=draw(arrays(np.float64, n, elements=numbers(1, 100))),
    )


@given(tables(), ROWS, st.data())
def test_rows_of_rows_are_rows(table, rows, data):
    numbers_of = np.arange(5)[np.array(rows, dtype=int)]
    some = table[rows]
    np.testing.assert_array_equal(some.scale, table.scale[numbers_of])
    np.testing.assert_array_equal(np.asarray(some.rgb), table.rgb[numbers_of])
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    same(some[mask], table[numbers_of[mask]])
    same(some[::-1], table[numbers_of[::-1]])


@given(tables(), st.integers(0, 5), st.integers(0, 5))
def test_a_table_cut_in_parts_and_joined_is_the_table(table, one, other):
    cuts = sorted((one, other))
    parts = [table[: cuts[0]], table[cuts[0] : cuts[1]], table[cuts[1] :]]
    joined = concat_frames(parts)
    same(joined, table)
    same(concat_frames([joined, table])[5:], table)


@given(tables(), ROWS)
def test_a_table_is_the_same_after_a_pickle_and_a_replacement(table, rows):
    some = table[rows]
    same(pickle.loads(pickle.dumps(some)), some)
    same(some.replace(scale=2 * some.scale).replace(scale=some.scale), some)
