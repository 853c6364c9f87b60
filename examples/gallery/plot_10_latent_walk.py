"""
Walks and samples: hands out of a latent space
==============================================

A latent space is also a model of hands: points between two hands, or near one, or drawn at random, are hands
too. As in Fig. 6, 9 and 11 of Spurr et al. (2018), one estimator decodes each point to a picture, to
keypoints and to a pose.

1 200 generated right hands of one made-up person before black, 32 px. That is small, and so are the decoded
pictures' details.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import train_test_split

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.plotting import LatentWalkDisplay, SkeletonDisplay

hands = make_hands(
    1200,
    image_size=32,
    n_subjects=1,
    side="right",
    rotation=30,
    framing=(1.2, 1.2),
    backgrounds=None,
    sleeves=0.0,
    noise=0.0,
    light=(0.6, 0.6),
    images=("rgb",),
    random_state=0,
)
X, y = hands.data, hands.target
train, test = train_test_split(np.arange(len(X)), test_size=0.1, random_state=0)

# %%
# One encoder for pictures and three decoders, all around the same 30 latent dimensions:
est = CrossModalVAERegressor(
    pairs=[("rgb", "pose3d"), ("rgb", "keypoints2d"), ("rgb", "rgb")],
    backbone="small",
    n_hidden_layers=2,
    given=("root",),
    beta=1e-3,
    augment=None,
    lr=1e-3,
    lr_schedule="cosine",
    batch_size=32,
    max_epochs=14,
    random_state=0,
)
est.fit(X[train], y[train])
mean_pose = np.broadcast_to(align_root(y[train]).mean(axis=0), y[test].shape)
print(f"mean pose {mean_epe(y[test], mean_pose, align='root'):.1f} mm", end=", ")
print(f"fitted {mean_epe(y[test], est.predict(X[test]), align='root'):.1f} mm, root given")

# %%
# A walk
# ------
#
# From an open hand to a fist, neither of which was trained on:
names = hands.gesture[test]
a, b = test[names == "open"][:1], test[names == "fist"][:1]
figure, axes = plt.subplots(1, 2, figsize=(3.4, 1.9), layout="constrained")
for ax, row, title in zip(axes, (a, b), ("from", "to"), strict=True):
    ax.imshow(X.rgb[row[0]])
    ax.set_title(title)
    ax.axis("off")

# %%
# In eight steps: the ends are reconstructions of these two; what is between never had a picture. Each column
# is one point, and its three rows agree.
LatentWalkDisplay.from_estimator(est, X[a], X[b], n_steps=8, targets=("rgb", "keypoints2d", "pose3d"))

# %%
# Samples
# -------
#
# Latent vectors drawn from the distribution of the training hands, decoded to a picture and to a pose:
made = est.sample(6, target=["rgb", "pose3d"], random_state=1)
figure = plt.figure(figsize=(8, 2.9), layout="constrained")
for i, (picture, pose) in enumerate(zip(made["rgb"], made["pose3d"], strict=True)):
    ax = figure.add_subplot(2, 6, i + 1)
    ax.imshow(picture)
    ax.axis("off")
    ax = figure.add_subplot(2, 6, i + 7, projection="3d")
    SkeletonDisplay(pose).plot(ax=ax, elev=0, azim=-90)
    ax.set_axis_off()

# %%
# How sure is it?
# ---------------
#
# The encoder answers with a mean and a spread. Poses decoded from draws around the mean of one picture,
# faint, with the prediction in colour and the truth in grey; turn it to see where they differ.
samples = est.sample_posterior(X[a], 12, random_state=0)[:, 0]
SkeletonDisplay(est.predict(X[a])[0], y[a][0], samples=samples).to_plotly()
