"""Drawn hands that a network learns in seconds."""

from __future__ import annotations

import numpy as np

from skhand import HandFrames
from skhand.geometry import project

SIZE = 24
CAMERA = np.array([[60.0, 0.0, 11.5], [0.0, 60.0, 11.5], [0.0, 0.0, 1.0]])


def drawn_hands(n, seed):
    """A stiff tilted hand at several distances, turned and shifted, each joint a spot in its own colour."""
    rng = np.random.default_rng(seed)
    fingers = np.stack([np.linspace(-30, 30, 5), np.full(5, -30.0), np.linspace(-8, 8, 5)], axis=1)
    steps = np.linspace(1.0, 2.2, 4)[None, :, None]
    hand = np.concatenate([[[0, 20.0, 0]], (fingers[:, None] * steps + [0, 20, 0]).reshape(20, 3)])
    angle = rng.uniform(-0.6, 0.6, n)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], axis=1).reshape(n, 2, 2)
    poses = np.broadcast_to(hand, (n, 21, 3)).copy()
    poses[..., :2] = poses[..., :2] @ turn.transpose(0, 2, 1) + rng.normal(0, 8, (n, 1, 2))
    poses[..., 2] += rng.uniform(350, 500, (n, 1))
    pixels = project(poses, CAMERA)
    v, u = np.mgrid[:SIZE, :SIZE]
    spots = np.exp(-((u - pixels[..., :1, None]) ** 2 + (v - pixels[..., 1:, None]) ** 2) / 2)
    colours = np.random.default_rng(0).uniform(0, 1, (21, 3))
    pictures = np.einsum("njvu,jc->nvuc", spots, colours).clip(0, 1)
    return HandFrames(rgb=(255 * pictures).astype(np.uint8), camera=CAMERA), poses
