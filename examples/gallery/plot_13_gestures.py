"""
A gesture classifier, on joint angles and on a latent space
===========================================================

Two ways from hands to numbers that another model can use. `JointAngles` turns poses into 20 angles that mean
something; ``est.transform`` turns whatever an estimator reads, here pictures, into the vectors of its latent
space.

Five gestures, equally likely, in 750 generated hands. The classifiers are tested on people who were not
trained on.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skhand import HandFrames
from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.preprocessing import JointAngles

names = ["fist", "open", "point", "victory", "thumb up"]
hands = make_hands(
    750, image_size=128, n_subjects=100, gestures=names, rotation=60, images=("rgb",), random_state=0
)
X, gesture = hands.data, hands.gesture
train, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=0).split(X, groups=hands.groups))

# %%
# From pictures to poses, by the weights that ship: predictions, with their errors, and not the truth.
network = LatentHeatmapRegressor.from_pretrained()
poses = HandFrames(pose3d=network.predict(X), side=X.side)

# %%
# Three columns of features: angles of the true poses, angles of the predicted poses, and the latent vectors
# of the pictures, which need no pose at all.
angles = make_pipeline(JointAngles(), StandardScaler(), LogisticRegression(max_iter=1000))
latent = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
true_poses = HandFrames(pose3d=hands.target, side=X.side)
vectors = network.transform(X)
print("latent vectors:", vectors.shape)

predicted = {
    "angles of true poses": angles.fit(true_poses[train], gesture[train]).predict(true_poses[test]),
    "angles of predicted poses": angles.fit(poses[train], gesture[train]).predict(poses[test]),
    "latent vectors": latent.fit(vectors[train], gesture[train]).predict(vectors[test]),
}
chance = DummyClassifier().fit(vectors[train], gesture[train]).score(vectors[test], gesture[test])
print(f"{'most frequent gesture':26s}{chance:6.1%}")
for name, answer in predicted.items():
    print(f"{name:26s}{np.mean(answer == gesture[test]):6.1%}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, name in zip(axes, ("angles of predicted poses", "latent vectors"), strict=True):
    ConfusionMatrixDisplay.from_predictions(
        gesture[test], predicted[name], labels=names, ax=ax, colorbar=False, xticks_rotation=45
    )
    ax.set_title(name)

# %%
# Hands of your own photographs take the same way: ``found = HandTracker().predict("photo.jpg")``, and then
# ``HandFrames(pose3d=found.joints, side=found.side)`` is what ``angles.predict`` reads.
#
# Angles can be read. Their means, in degrees: a fist bends everything, and a pointing hand all but the index
# finger.
table = JointAngles().set_output(transform="pandas").fit_transform(true_poses)
table[["thumb_mcp", "index_pip", "middle_pip", "little_pip"]].groupby(gesture).mean().round().astype(int)
