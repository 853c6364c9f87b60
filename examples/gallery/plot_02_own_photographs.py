"""
From a folder of photographs to an overlay
==========================================

The weights that ship take photographs as they are. Here: a folder of pictures, the hands in them, pictures
with the skeletons drawn in, a table to go on with, and a model that is saved and loaded again.

Photographs cannot come with skhand, so we make some: twelve generated pictures, written to a folder as files.
Replace ``folder`` by your own.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skhand.datasets import load_folder, make_hands, save_folder
from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.persistence import load, save
from skhand.plotting import draw_hand
from skhand.preprocessing import HandCropper
from skhand.tracking import HandTracker

folder = Path(tempfile.mkdtemp())
camera = [[560.0, 0.0, 159.5], [0.0, 560.0, 159.5], [0.0, 0.0, 1.0]]  # focal length and middle, px
settings = {"image_size": 320, "framing": camera, "distance": (420, 600), "rotation": 60, "images": ("rgb",)}
made = make_hands(12, random_state=3, **settings)
save_folder(made.data, made.target, folder)
print(sorted(path.name for path in folder.iterdir())[:4], "...")

# %%
# Without labels
# --------------
#
# `HandTracker` finds the hands of a picture and answers with joints, keypoints, side and score. We say what
# the camera is; without it, it is read from EXIF data or guessed, and ``camera_source`` says so.
tracker = HandTracker(camera=camera)
paths = sorted(folder.glob("*.png"))
found = [tracker.predict(path) for path in paths]
print("hands in each picture:", [len(hands) for hands in found])

figure, axes = plt.subplots(3, 4, figsize=(8, 6.2), layout="constrained")
for ax, hands in zip(axes.flat, found, strict=True):
    ax.imshow(hands.draw())
    ax.set_title(", ".join(f"{hands.side[i]}, {hands.score[i]:.2f}" for i in range(len(hands))), fontsize=8)
    ax.axis("off")

# %%
# ``hands.draw().save("overlay.png")`` writes one of these pictures. The numbers are arrays:
print(found[0].joints.shape, "mm;", found[0].keypoints.shape, "px")

# %%
# With a table of labels
# ----------------------
#
# A file ``hands.csv`` in the folder may say more: box, side, camera, joints. `load_folder` reads it; the
# pictures stay on the disk until they are needed.
data = load_folder(folder)
print(data.data)

# %%
# Where boxes or keypoints are known, no detector is needed: a pipeline crops and predicts.
pipe = make_pipeline(HandCropper(128), LatentHeatmapRegressor.from_pretrained())
predicted = pipe.predict(data.data)
error = mean_epe(data.target, predicted, align="root")
mean_pose = np.broadcast_to(align_root(data.target).mean(axis=0), predicted.shape)
print(f"{error:.1f} mm relative to the palm, nothing given but the camera", end="; ")
print(f"the mean pose of these hands: {mean_epe(data.target, mean_pose, align='root'):.1f} mm")

# %%
# The same in a picture, drawn from millimetres by the camera:
picture = np.asarray(data.data.rgb[0])
overlay = draw_hand(picture, predicted[0], camera)
figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
for ax, shown, title in zip(
    axes, (picture, overlay), ("the picture", "with the predicted hand"), strict=True
):
    ax.imshow(shown)
    ax.set_title(title)
    ax.axis("off")

# %%
# Save and load
# -------------
#
# The whole pipeline goes into two files, numbers and readable JSON. Loading runs no code of the file.
path = folder / "hands.safetensors"
save(pipe, path)
again = load(path)
print("the same predictions:", np.array_equal(again.predict(data.data), predicted))
