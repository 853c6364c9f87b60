"""
From a folder of photographs to an overlay
==========================================

The weights that ship take photographs as they are. Here: a folder of pictures, the hands in them, pictures
with the skeletons drawn in, a table to go on with, and a model that is saved and loaded again.

Photographs cannot come with skhand, so we make some: twelve generated pictures, written to a folder as files.
With your own, ``folder`` is theirs, and the lines that make pictures go.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skhand import ImageFiles
from skhand.datasets import load_folder, make_hands, save_folder
from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.persistence import load, save
from skhand.plotting import draw_hand
from skhand.preprocessing import HandCropper
from skhand.tracking import HandTracker

out = Path(tempfile.mkdtemp())
folder = out / "photographs"
camera = [[560.0, 0.0, 159.5], [0.0, 560.0, 159.5], [0.0, 0.0, 1.0]]  # focal length and middle, px
settings = {"image_size": 320, "framing": camera, "distance": (420, 600), "rotation": 60, "images": ("rgb",)}
made = make_hands(12, random_state=3, **settings)
save_folder(made.data, made.target, folder)
print(sorted(path.name for path in folder.iterdir())[:4], "...")

# %%
# Without labels
# --------------
#
# `HandTracker` finds the hands of all pictures and answers with joints, keypoints, side and score. We say
# what the camera is; of a plain ``HandTracker()`` it is read from EXIF data or guessed, and ``camera_source``
# says which.
hands = HandTracker(camera=camera).predict(ImageFiles(folder))
print(len(hands), "hands; joints", hands.joints.shape, "mm; keypoints", hands.keypoints.shape, "px")

figure, axes = plt.subplots(3, 4, figsize=(8, 6.2), layout="constrained")
for i, ax in enumerate(axes.flat):
    here = hands[hands.picture == i]
    ax.imshow(here.draw(i))
    ax.set_title(", ".join(f"{s}, {p:.2f}" for s, p in zip(here.side, here.score, strict=True)), fontsize=8)
    ax.axis("off")

# %%
# ``hands.draw(0)`` is a picture of PIL, and the numbers are a table for other programs. From a shell,
# ``skhand predict FOLDER`` does all of this: :doc:`/command_line`.
hands.draw(0).save(out / "overlay.jpg")
hands.to_csv(out / "found.csv")
print(*(line[:100] + " ..." for line in (out / "found.csv").read_text().splitlines()[:3]), sep="\n")

# %%
# With a table of labels
# ----------------------
#
# Where somebody has measured joints, a file ``hands.csv`` in the folder has them, with boxes, sides and
# cameras: its columns are :ref:`these <table-of-hands>`, and `save_folder` has written one here.
# `load_folder` reads it; the pictures stay on the disk until they are needed.
data = load_folder(folder)
print(data.data)

# %%
# Where boxes or keypoints are known, no detector is needed: a pipeline crops and predicts. How near are the
# weights that ship?
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
path = out / "hands.safetensors"
save(pipe, path)
again = load(path)
print("the same predictions:", np.array_equal(again.predict(data.data), predicted))
