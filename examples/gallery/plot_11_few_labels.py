"""
Few labels: what rows without a pose can teach
==============================================

Poses in millimetres are dear, pictures are cheap, and keypoints in pictures are in between: anyone can click
them. Rows without a pose have NaN in ``y``, and train the pairs of modalities that they have. This page asks
what that is worth, with poses for 60 of about 800 hands.

Generated right hands, depth pictures of 32 px, tested on other people.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe

hands = make_hands(
    1000,
    image_size=32,
    n_subjects=200,
    side="right",
    rotation=60,
    framing=(1.2, 1.2),
    images=("depth",),
    random_state=0,
)
X = hands.data
train, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=0).split(X, groups=hands.groups))
labelled = train[:60]
y = np.full_like(hands.target, np.nan)
y[labelled] = hands.target[labelled]
print(np.isfinite(y[train]).all(axis=(1, 2)).sum(), "of", len(train), "training hands have a pose")

# %%
# The same estimator four times. *poses only*: the 60 hands, and no others. *and pictures*: the other hands
# train the encoder by rebuilding their own picture, which is the paper's semi-supervised training. *and
# keypoints*: they train it by their keypoints in the picture instead. *all poses*: what the labels of all
# hands would give.
settings = {
    "backbone": "small",
    "n_hidden_layers": 2,
    "given": ("root",),
    "augment": None,
    "lr": 1e-3,
    "lr_schedule": "cosine",
    "batch_size": 32,
    "random_state": 0,
}
to_pose = ("depth", "pose3d")
fits = {
    "poses only": ([to_pose], X[labelled], y[labelled], 125),
    "and pictures": ([to_pose, ("depth", "depth")], X[train], y[train], 10),
    "and keypoints": ([to_pose, ("depth", "keypoints2d")], X[train], y[train], 10),
    "all poses": ([to_pose], X[train], hands.target[train], 10),
}
truth = hands.target[test]
mean_pose = np.broadcast_to(align_root(y[labelled]).mean(axis=0), truth.shape)
errors = {"mean pose": mean_epe(truth, mean_pose, align="root")}
for name, (pairs, rows, target, epochs) in fits.items():
    est = CrossModalVAERegressor(pairs=pairs, max_epochs=epochs, **settings).fit(rows, target)
    errors[name] = mean_epe(truth, est.predict(X[test]), align="root")
for name, error in errors.items():
    print(f"{name:14s}{error:6.1f} mm, root given")

# %%
# Pictures alone gain little, and in the :doc:`benchmarks </benchmarks/index>`, with more seeds, nothing
# beyond the spread; keypoints gain more, since they say where the joints are and leave only the depth to the
# 60 poses. One seed.
figure, ax = plt.subplots(figsize=(6, 3), layout="constrained")
bars = ax.barh(list(errors), errors.values(), color=["0.7", "C0", "C0", "C1", "0.7"])
ax.bar_label(bars, fmt="%.1f", padding=3)
ax.invert_yaxis()
ax.set(xlabel="mean error on other people [mm]", xlim=(0, 1.12 * max(errors.values())))
