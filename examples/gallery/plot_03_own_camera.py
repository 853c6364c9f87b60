"""
Your own camera, with 100 labels
================================

The weights that ship know generated hands. A camera, a person and a room of your own look different. A
hundred labelled pictures are enough to go on from the weights, and most of what they bring is the person's
size.

What you need is a folder with the pictures and a table of the joints that somebody has measured,
``hands.csv`` (:ref:`its columns <table-of-hands>`). Here it is made up: 200 pictures of one person with a
small hand (``n_subjects=1``), drawn as other renderers draw hands (``strange=1``), before a camera that
shakes and compresses. With your own, ``folder`` is yours.
"""

import tempfile

import numpy as np
from sklearn.pipeline import make_pipeline

from skhand.datasets import load_folder, make_hands, save_folder
from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.plotting import PckCurveDisplay, PredictionDisplay
from skhand.preprocessing import HandCropper

folder = tempfile.mkdtemp()
made = make_hands(
    200,
    image_size=240,
    framing=[[420.0, 0.0, 119.5], [0.0, 420.0, 119.5], [0.0, 0.0, 1.0]],
    distance=(420, 600),
    n_subjects=1,
    side="left",
    rotation=100,
    shape=2.0,
    strange=1.0,
    motion=0.3,
    jpeg=(20, 60),
    images=("rgb",),
    random_state=5,
)
save_folder(made.data, made.target, folder)

# %%
# The first 100 are for training, the others for testing. Of a recording, take blocks with a pause between
# them: neighbouring frames are near-duplicates, and testing on them says nothing.
X, y = load_folder(folder, return_X_y=True)
train, test = np.arange(100), np.arange(100, 200)
print(X)

# %%
# Before: the weights as they ship, behind a cropper that cuts the hand out by its box.
pipe = make_pipeline(
    HandCropper(128),
    LatentHeatmapRegressor.from_pretrained(lr=2e-4, batch_size=25, max_epochs=8, random_state=0),
)
answers = {
    "mean pose": np.broadcast_to(align_root(y[train]).mean(axis=0), y[test].shape),
    "as shipped": pipe.predict(X[test]),
}
shipped = pipe[-1].mean_bones_

# %%
# After: ``fit`` goes on from there, with a small learning rate. ``skhand fit FOLDER`` does the same from a
# shell.
pipe.fit(X[train], y[train])
answers["with 100 labels"] = pipe.predict(X[test])

print(f"{'':16s}{'rooted':>10s}{'Procrustes':>12s}")
for name, answer in answers.items():
    errors = [mean_epe(y[test], answer, align=align) for align in ("root", "procrustes")]
    print(f"{name:16s}{errors[0]:7.1f} mm{errors[1]:9.1f} mm")

# %%
# Relative to the palm the error falls by half. After a Procrustes alignment, which takes size and rotation
# away, little changes: the poses were right already, the hand's size was not. ``mean_bones_`` are the lengths
# that the estimator multiplies its answer by, and they are now those of this person.
wrist_to_middle = np.linalg.norm(y[:, 9] - y[:, 0], axis=1).mean()
print(f"wrist to middle MCP: true {wrist_to_middle:.0f} mm", end=", ")
print(f"shipped {shipped[8]:.0f} mm, fitted {pipe[-1].mean_bones_[8]:.0f} mm")

# %%
PckCurveDisplay.from_predictions(y[test], answers, align="root")

# %%
# The worst pictures that are left, cut out as the network sees them:
PredictionDisplay.from_predictions(
    y[test], answers["with 100 labels"], X=pipe[0].transform(X[test]), align="root", which="worst", n_hands=3
)
