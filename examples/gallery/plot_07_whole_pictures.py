"""
From whole pictures to poses: a pipeline
========================================

Estimators want one hand a picture, cut out. Whole pictures have none, one or several, somewhere. The steps
between are transformers: `HandDetector` makes one row a hand, `HandCropper` cuts it out and keeps the way
back, and what is predicted comes back in the whole picture's pixels.

The pictures are generated scenes, of people that no training saw.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skhand import HandFrames
from skhand.datasets import make_scenes
from skhand.detection import HandDetector
from skhand.estimators import LatentHeatmapRegressor
from skhand.plotting import draw_hand
from skhand.preprocessing import HandCropper

scenes = make_scenes(60, image_size=256, random_state=7)
pictures = scenes.pictures

# %%
# The detector alone: a table with one row a hand that it found, and the picture's number in ``picture``.
detector = HandDetector()
found = detector.transform(pictures)
print(found)


# %%
# How many does it find, and how many of its answers are hands? A box counts if it overlaps with a true one by
# half. There are hands that it misses and things that it takes for hands; see :doc:`/weights`.
def overlap(a, b):
    """Intersection over union of two boxes (x, y, width, height)."""
    width, height = np.minimum(a[:2] + a[2:], b[:2] + b[2:]) - np.maximum(a[:2], b[:2])
    both = max(width, 0) * max(height, 0)
    return both / (a[2] * a[3] + b[2] * b[3] - both)


true = scenes.data
hits = np.array(
    [
        max((overlap(box, other) for other in found.box[found.picture == number]), default=0) > 0.5
        for box, number in zip(true.box, true.picture, strict=True)
    ]
)
print(f"{len(true)} hands, {hits.sum()} of them found; {len(found)} answers in {len(pictures)} pictures")

# %%
# Detector, cropper and pose network are one pipeline, and one row of its answer is one row of the table
# above. Keypoints are in the whole pictures' pixels, though the network has seen the crops only. Joints in mm
# need to know the camera: a made-up one here, since these pictures have none.
pipe = make_pipeline(detector, HandCropper(128), LatentHeatmapRegressor.from_pretrained())
keypoints = pipe.predict(pictures, target="keypoints2d")

camera = [[300.0, 0.0, 127.5], [0.0, 300.0, 127.5], [0.0, 0.0, 1.0]]  # px: focal length, middle
joints = pipe.predict(HandFrames(rgb=pictures, camera=camera))
print(len(pictures), "pictures:", keypoints.shape, "px and", joints.shape, "mm")

# %%
# The first pictures with something in them. Boxes are the detector's, with its score; skeletons the
# network's. It is told the side that the detector guesses, which is hardly better than a coin: `HandTracker`
# asks the pose network instead, finds the camera, and does all of this in one call; the steps are for your
# own.
figure, axes = plt.subplots(3, 4, figsize=(8, 6.4), layout="constrained")
shown = np.unique(found.picture)[:12]
for ax, number in zip(axes.flat, shown, strict=True):
    rows = np.flatnonzero(found.picture == number)
    ax.imshow(draw_hand(pictures[number], keypoints[rows]))
    for x, y, width, height in found.box[rows]:
        ax.add_patch(plt.Rectangle((x, y), width, height, fill=False, color="white", linewidth=1))
    ax.set_title(", ".join(f"{score:.2f}" for score in found.score[rows]), fontsize=8)
    ax.set(xticks=[], yticks=[], xlim=(0, 255), ylim=(255, 0))

# %%
# Where were they? In these few pictures small hands and large ones are missed about as often.
size = np.sqrt(true.box[:, 2] * true.box[:, 3])
for low, high in ((0, 48), (48, 96), (96, 512)):
    chosen = (size >= low) & (size < high)
    print(f"hands of {low:3d} to {high:3d} px: {hits[chosen].sum()} of {chosen.sum()} found")
