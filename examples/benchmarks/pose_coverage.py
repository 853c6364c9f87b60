"""How near generated poses come to real ones, how often they overlap, and how fast they are drawn.

For each real pose of four sets the nearest of the generated poses is sought, after a similarity alignment
without reflection; the error is the mean joint distance, mm of the real hand. All rows count, but those of
Rendered Hand Pose that lie behind the camera. Left hands are mirrored. Leap's hands have no wrist, so their
20 joints are compared; what Leap calls the thumb's MCP is its CMC, for the bone beyond it is a metacarpal
in length. Beside it angles drawn uniformly within the same limits, for the same people.

``DIR`` holds ``real-rgb/annotations.npz`` (``joints_mm`` of left hands) and ``poses/stb_poses.npz`` (the
same), ``poses/rhd_poses.npz`` and ``poses/leap_poses.npz`` (``joints_mm`` and the side).
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch

from skhand.datasets import make_hands
from skhand.rendering.contact import overlap
from skhand.rendering.draws import Draws
from skhand.rendering.gestures import draw_poses
from skhand.rendering.kinematics import LIMITS, forward_kinematics
from skhand.rendering.subjects import draw_subjects

MIRROR = np.array([-1.0, 1.0, 1.0])


def load(folder: Path) -> tuple[dict[str, np.ndarray], int]:
    """Real poses as right hands by set, mm, and how many bad rows were left out."""
    with np.load(folder / "poses" / "rhd_poses.npz") as rhd:
        rendered, left = rhd["joints_mm"], rhd["left"].astype(bool)
    good = (rendered[..., 2] > 0).all(axis=1)
    rendered = np.where(left[:, None, None], rendered * MIRROR, rendered)[good]
    with np.load(folder / "poses" / "leap_poses.npz") as leap:
        recorded, left = leap["joints_mm"].reshape(-1, 20, 3), leap["side"] == "left"
    sets = {
        "real-rgb": np.load(folder / "real-rgb" / "annotations.npz")["joints_mm"] * MIRROR,
        "stb": np.load(folder / "poses" / "stb_poses.npz")["joints_mm"] * MIRROR,
        "rhd": rendered,
        "leap": np.where(left[:, None, None], recorded * MIRROR, recorded),
    }
    return {name: poses.astype(np.float64) for name, poses in sets.items()}, int((~good).sum())


def traces(h: list[torch.Tensor]) -> torch.Tensor:
    """Largest trace of a rotation times the 3 x 3 matrices whose nine entries are given, row by row.

    It is the largest root of a polynomial of degree four (Horn 1987), by Newton's method from above.
    """
    minors = [
        h[(i + 1) % 3 * 3 + (j + 1) % 3] * h[(i + 2) % 3 * 3 + (j + 2) % 3]
        - h[(i + 1) % 3 * 3 + (j + 2) % 3] * h[(i + 2) % 3 * 3 + (j + 1) % 3]
        for i in range(3)
        for j in range(3)
    ]
    square = sum(entry * entry for entry in h)
    eight = 8 * sum(entry * minor for entry, minor in zip(h[:3], minors[:3], strict=True))
    constant = square * square - 4 * sum(minor * minor for minor in minors)
    root = torch.sqrt(3 * square)
    for _ in range(7):
        step = root * root
        value = step * step - 2 * square * step - eight * root + constant
        root = root - value / (4 * root * (step - square) - eight).clamp_min(1e-3)
    return root


def nearest(real: np.ndarray, generated: np.ndarray, finalists: int = 10) -> np.ndarray:
    """Error of each real pose's nearest generated one, mm: ranked in float32, finalists exactly."""
    shapes = generated - generated.mean(axis=1, keepdims=True)
    shapes = shapes / np.linalg.norm(shapes, axis=(1, 2), keepdims=True)
    columns = torch.tensor(shapes, dtype=torch.float32).permute(2, 0, 1).contiguous()
    errors = []
    for poses in np.array_split(real - real.mean(axis=1, keepdims=True), max(len(real) // 32, 1)):
        size = np.linalg.norm(poses, axis=(1, 2), keepdims=True)
        unit = poses / size
        targets = torch.tensor(unit, dtype=torch.float32).permute(2, 1, 0).contiguous()
        ranks = [
            traces([part @ target for part in block for target in targets])
            for block in columns.split(4096, dim=1)
        ]
        best = shapes[torch.cat(ranks).topk(finalists, dim=0).indices.T.numpy()]
        u, s, vt = np.linalg.svd(np.einsum("rkji,rjl->rkil", best, unit))
        flip = np.ones_like(s)
        flip[..., 2] = np.sign(np.linalg.det(u) * np.linalg.det(vt))
        moved = (s * flip).sum(axis=-1)[..., None, None] * (best @ (u * flip[..., None, :] @ vt))
        distances = np.linalg.norm(moved - unit[:, None], axis=-1).mean(axis=-1)
        errors.append(distances.min(axis=1) * size[:, 0, 0])
    return np.concatenate(errors)


def coverage(sets: dict[str, np.ndarray], generated: np.ndarray) -> dict[str, dict[str, float]]:
    """Print and return mean and 95th percentile of the errors by set, mm."""
    table = {}
    for name, real in sets.items():
        errors = nearest(real, generated[:, 21 - real.shape[1] :])
        mean, p95 = float(errors.mean()), float(np.percentile(errors, 95))
        table[name] = {"n": len(errors), "mean": mean, "p95": p95}
        print(f"  {name:9} {len(errors):5} poses: mean {mean:5.2f}, p95 {p95:5.2f}")
    return table


def bones(joints: np.ndarray) -> np.ndarray:
    """Lengths of the three bones of each digit, mm, shape (n, 5, 3)."""
    return np.linalg.norm(np.diff(joints[:, 1:].reshape(-1, 5, 4, 3), axis=2), axis=-1)


def deep(joints: np.ndarray) -> float:
    """Share of poses whose parts overlap by more than 8 mm."""
    return float((overlap(joints, bones(joints)) > 8.0).mean())


def uniform(n_poses: int, n_subjects: int) -> np.ndarray:
    """Joints of angles drawn uniformly within their limits, mm."""
    rng = np.random.default_rng(0)
    people = draw_subjects(0, np.arange(n_subjects))
    who = rng.integers(0, n_subjects, n_poses)
    angles = rng.uniform(LIMITS[:, 0], LIMITS[:, 1], (n_poses, 22))
    return forward_kinematics(angles, people.bases[who], people.lengths[who])[0]


def speed(n_poses: int, chunk: int) -> float:
    """Poses/s from random numbers and people to joints, overlap rejected, chunk by chunk."""
    start = time.perf_counter()
    for first in range(0, n_poses, chunk):
        rows = np.arange(first, min(first + chunk, n_poses))
        people = draw_subjects(0, rows)
        angles, _ = draw_poses(Draws(0, "pose", rows, 320), people.bases, people.lengths)
        forward_kinematics(angles, people.bases, people.lengths)
    return n_poses / (time.perf_counter() - start)


def main() -> None:
    """Measure, print, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--n-poses", type=int, default=50_000)
    parser.add_argument("--subjects", type=int, nargs="*", default=[10, 500])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="of the speed; the best counts (default: 5)")
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    speeds = {
        str(chunk): max(speed(40 * chunk, chunk) for _ in range(args.rounds)) for chunk in (16, 64, 256, 1024)
    }
    for chunk, value in speeds.items():
        print(f"{value:7.0f} poses/s in chunks of {chunk}")
    sets, n_bad = load(args.folder)
    print(f"{n_bad} bad rows of rhd left out")
    tables, shares = {}, {}
    for n_subjects in args.subjects:
        hands = make_hands(
            args.n_poses, images=(), n_subjects=n_subjects, side="right", random_state=args.seed
        )
        name = f"generated, {n_subjects} subjects"
        shares[name] = deep(hands.target)
        print(f"{name}: {100 * shares[name]:.2f}% overlap by more than 8 mm")
        tables[name] = coverage(sets, hands.target)
    name, joints = "uniform angles", uniform(args.n_poses, max(args.subjects))
    shares[name] = deep(joints)
    print(f"{name}: {100 * shares[name]:.2f}% overlap by more than 8 mm")
    tables[name] = coverage(sets, joints)
    shares |= {name: deep(sets[name]) for name in ("real-rgb", "stb", "rhd")}
    print("real poses:", {name: f"{100 * shares[name]:.1f}%" for name in ("real-rgb", "stb", "rhd")})
    if args.out:
        settings = {name: value for name, value in vars(args).items() if name not in ("folder", "out")}
        summary = {
            "settings": settings,
            "machine": platform.processor() or platform.machine(),
            "rhd_rows_left_out": n_bad,
            "poses_per_s_by_chunk": speeds,
            "coverage_mm": tables,
            "share_overlapping_by_8_mm": shares,
        }
        args.out.write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
