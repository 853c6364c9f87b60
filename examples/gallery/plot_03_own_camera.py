"""
Your own camera, with 100 labels
================================

The weights that ship know generated hands. A camera, a person and a room of your own look different. A
hundred labelled pictures are enough to go on from the weights, and most of what they bring is the person's
size.

The camera here is made up too: one person with a small hand (``n_subjects=1``), who looks as other renderers
draw hands (``strange=1``), before a camera that shakes and compresses. Its first 100 pictures are for
training, the other 100 for testing. A real one is a folder that `load_folder` reads: see
:doc:`plot_02_own_photographs`.
"""

import numpy as np

from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.plotting import PckCurveDisplay, PredictionDisplay

hands = make_hands(
    200,
    image_size=128,
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
X, y = hands.data, hands.target
train, test = np.arange(100), np.arange(100, 200)

# %%
# Before: the weights as they ship.
est = LatentHeatmapRegressor.from_pretrained(lr=2e-4, batch_size=25, max_epochs=8, random_state=0)
answers = {
    "mean pose": np.broadcast_to(align_root(y[train]).mean(axis=0), y[test].shape),
    "as shipped": est.predict(X[test]),
}

# %%
# After: ``fit`` goes on from there, with a small learning rate.
est.fit(X[train], y[train])
answers["with 100 labels"] = est.predict(X[test])

print(f"{'':16s}{'rooted':>10s}{'Procrustes':>12s}")
for name, answer in answers.items():
    errors = [mean_epe(y[test], answer, align=align) for align in ("root", "procrustes")]
    print(f"{name:16s}{errors[0]:7.1f} mm{errors[1]:9.1f} mm")

# %%
# Relative to the palm the error falls by half. After a Procrustes alignment, which takes size and rotation
# away, little changes: the poses were right already, the hand's size was not. ``mean_bones_`` are the lengths
# that the estimator multiplies its answer by, and they are now those of this person.
wrist_to_middle = np.linalg.norm(y[:, 9] - y[:, 0], axis=1).mean()
shipped = LatentHeatmapRegressor.from_pretrained()
print(f"wrist to middle MCP: true {wrist_to_middle:.0f} mm", end=", ")
print(f"shipped {shipped.mean_bones_[8]:.0f} mm, fitted {est.mean_bones_[8]:.0f} mm")

# %%
PckCurveDisplay.from_predictions(y[test], answers, align="root")

# %%
# The worst pictures that are left:
PredictionDisplay.from_predictions(
    y[test], answers["with 100 labels"], X=X[test], align="root", which="worst", n_hands=3
)
