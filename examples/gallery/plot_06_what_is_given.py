"""
Root, scale and side: what is given, and what it changes
========================================================

A picture does not say how far away a hand is, nor how large. Papers therefore give the model some of the
truth about the test hand: its root (T), its scale (S), its side (H). In skhand it is the user's choice,
``given=``, and nothing else enters. This page fits the same estimator with more and more of it.

To be quick, the input is keypoints, px, of 1 500 generated hands of both sides, before one camera; the
held-out fifth is of other people.
"""

import textwrap
import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.skeleton import root_position

camera = [[480.0, 0.0, 159.5], [0.0, 480.0, 159.5], [0.0, 0.0, 1.0]]
hands = make_hands(
    1500, image_size=320, framing=camera, n_subjects=150, rotation=90, images=(), random_state=0
)
y = hands.target
train, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=0).split(y, groups=hands.groups))

# %%
# What may be given are columns of X. An estimator reads those that ``given`` names, and no others.
table = hands.data
X = HandFrames(keypoints2d=table.keypoints2d, root=table.root, scale=table.scale, side=table.side)
print(X)

# %%
# The score is taken twice. *Absolute*: joints in the camera frame as they are. *Root-relative*: truth and
# prediction are both moved to their palm. The mean pose gets the same help: with T it is put at the true
# root.
choices = {
    "nothing": (),
    "H": ("side",),
    "S": ("scale",),
    "T": ("root",),
    "T, S": ("root", "scale"),
    "T, S, H": ("root", "scale", "side"),
}
absolute, relative, answers = {}, {}, {}
for name, given in choices.items():
    est = CrossModalVAERegressor(
        given=given,
        latent_dim=64,
        beta=1e-3,
        n_hidden_layers=2,
        augment=None,
        lr=1e-3,
        lr_schedule="cosine",
        max_epochs=30,
        random_state=0,
    )
    answers[name] = est.fit(X[train], y[train]).predict(X[test])
    absolute[name] = mean_epe(y[test], answers[name])
    relative[name] = mean_epe(y[test], answers[name], align="root")

mean_pose = np.broadcast_to(y[train].mean(axis=0), y[test].shape)
mean_rooted = np.broadcast_to(align_root(y[train]).mean(axis=0), y[test].shape)
print(f"{'given':10s}{'absolute':>10s}{'root-relative':>16s}")
print(f"{'mean pose':10s}{mean_epe(y[test], mean_pose):7.1f} mm", end="")
print(f"{mean_epe(y[test], mean_rooted, align='root'):13.1f} mm")
for name in choices:
    print(f"{name:10s}{absolute[name]:7.1f} mm{relative[name]:13.1f} mm")

# %%
# T changes most: with it the model learns a hand around its palm, and the two columns are the same. S and H
# change little here. So a number without T, S and H beside it says little.
place = np.arange(len(choices))
figure, ax = plt.subplots(figsize=(6, 3.4), layout="constrained")
for shift, errors, label in ((-0.2, absolute, "absolute"), (0.2, relative, "root-relative")):
    bars = ax.bar(place + shift, errors.values(), 0.4, label=label)
    ax.bar_label(bars, fmt="%.0f", fontsize=8)
ax.set(xticks=place, xticklabels=choices, xlabel="given", ylabel="mean error [mm]", ylim=(0, 90))
ax.legend()

# %%
# What a picture does not tell is the distance. The palm's error along x, y and z, the way to the camera, with
# nothing given:
off = root_position(answers["nothing"]) - root_position(y[test])
print(np.abs(off).mean(axis=0).round(), "mm")

# %%
# Where your hands' places are known, X needs the column ``root`` when it predicts, too. Without it an
# estimator that is given the root answers relative to it, and a comparison with absolute truth warns:
print("wrist, with the column root:   ", answers["T, S, H"][0, 0].round())
without = est.predict(X[test].replace(root=None))
print("wrist, without the column root:", without[0, 0].round())
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    error = mean_epe(y[test], without)
print(textwrap.fill(f"{error:.0f} mm, and a warning: {caught[0].message}", 100))
