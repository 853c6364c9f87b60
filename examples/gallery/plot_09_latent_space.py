"""
One latent space for pictures, keypoints and poses
==================================================

The estimator of Spurr et al. (2018) has one latent space, with an encoder into it and a decoder out of it for
each modality. Do the modalities share it, or does each keep to a corner of its own? This page draws what
their Fig. 1 and 8 draw: the same hands, encoded from several modalities, by t-SNE in the plane, with poses
that are decoded from there.

1 200 generated right hands: depth pictures of 32 px, keypoints and poses; the held-out people's hands are
drawn.
"""

import itertools

import matplotlib.pyplot as plt
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupShuffleSplit, cross_val_score

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.plotting import LatentEmbeddingDisplay
from skhand.skeleton import BONES, root_position

hands = make_hands(
    1200,
    image_size=32,
    n_subjects=200,
    side="right",
    rotation=45,
    framing=(1.2, 1.2),
    images=("depth",),
    random_state=0,
)
y = hands.target
X = hands.data.replace(pose3d=y)
train, test = next(GroupShuffleSplit(1, test_size=0.15, random_state=0).split(y, groups=hands.groups))

# %%
# Pairs of encoder and decoder are trained in turn. These three have one decoder, and so they have to agree on
# what a latent vector means.
settings = {
    "backbone": "small",
    "n_hidden_layers": 2,
    "given": ("root",),
    "beta": 1e-3,
    "augment": None,
    "lr": 1e-3,
    "lr_schedule": "cosine",
    "batch_size": 32,
    "max_epochs": 12,
    "random_state": 0,
}
sources = ("depth", "keypoints2d", "pose3d")
together = CrossModalVAERegressor(pairs=[(name, "pose3d") for name in sources], **settings)
together.fit(X[train])

mean_pose = np.broadcast_to(align_root(y[train]).mean(axis=0), y[test].shape)
print(f"mean pose            {mean_epe(y[test], mean_pose, align='root'):5.1f} mm, root given")
for name in sources:
    predicted = together.predict(X[test], source=name)
    print(f"pose of {name:12s} {mean_epe(y[test], predicted, align='root'):5.1f} mm")

# %%
# A line joins the points of the same hand.
display = LatentEmbeddingDisplay.from_estimator(
    together, X[test], sources=sources, method="tsne", random_state=0, connect=True
)
display.ax_.set_title("trained together")

# %%
# Where are which hands? The plane in 5 x 5 fields, and in each the hand that is nearest to its middle,
# decoded from its depth picture's latent vector and seen from the camera: neighbours are alike.
points = display.points["depth"]
fields = np.linspace(points.min(axis=0), points.max(axis=0), 5)
decoded = together.predict(X[test])
flat = decoded[..., :2] - root_position(decoded)[:, None, :2]
figure, ax = plt.subplots(figsize=(6, 4.4), layout="constrained")
for place in itertools.product(*fields.T):
    nearest = np.linalg.norm(points - place, axis=1).argmin()
    if np.abs(points[nearest] - place).max() < (fields[1] - fields[0]).max() / 2:
        hand = place + flat[nearest] * [0.06, -0.06]  # mm to the plane's unit; y points down
        for start, end in BONES:
            ax.plot(*hand[[start, end]].T, color=plt.cm.tab10((end - 1) // 4), linewidth=1.5)
ax.set(xlabel="t-SNE 1", ylabel="t-SNE 2", aspect="equal", title="decoded hands")

# %%
# The same from three autoencoders that were trained apart: each space serves its own modality, and what is
# near in one says nothing about the others.
apart = {name: CrossModalVAERegressor(pairs=[(name, name)], **settings).fit(X[train]) for name in sources}
latents = {name: est.transform(X[test], source=name) for name, est in apart.items()}
display = LatentEmbeddingDisplay.from_predictions(latents, method="tsne", random_state=0)
display.ax_.set_title("trained apart")


# %%
# A number for it: how well does a linear classifier tell the modality from the latent vector? A third is a
# guess.
def telling_apart(vectors):
    """Cross-validated accuracy of a classifier of modalities."""
    labels = np.repeat(np.arange(len(vectors)), [len(each) for each in vectors.values()])
    folds = np.tile(np.arange(len(test)), len(vectors)) % 5
    model = LogisticRegression(max_iter=2000)
    splits = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in range(5)]
    return cross_val_score(model, np.concatenate(list(vectors.values())), labels, cv=splits).mean()


shared = {name: together.transform(X[test], source=name) for name in sources}
print(f"trained together {telling_apart(shared):.0%}, apart {telling_apart(latents):.0%}")

# %%
# Together they share much of the space and not all of it; the :doc:`benchmarks </benchmarks/index>` have
# longer trainings.
