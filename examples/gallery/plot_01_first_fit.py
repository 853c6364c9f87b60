"""
A first fit
===========

Pictures of hands go in, joints in millimetres come out: ``fit``, ``predict``, and a look at what was learned.

The hands are generated, so that this runs anywhere. There are 652 of them of made-up people to learn from;
the 148 that we test on are of other people.
"""

import numpy as np
from sklearn.model_selection import GroupShuffleSplit

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.plotting import HistoryDisplay, PckCurveDisplay, PredictionDisplay, SkeletonDisplay

hands = make_hands(
    800, image_size=64, n_subjects=60, side="right", rotation=60, images=("rgb",), random_state=0
)
X, y = hands.data, hands.target
split = GroupShuffleSplit(1, test_size=0.2, random_state=0)
train, test = next(split.split(y, groups=hands.groups))
print(X[train])

# %%
# One call learns. The estimator is given the root's position, as its paper does: it learns joints relative to
# the palm. Its picture encoder starts from weights that ship with skhand and have seen generated hands;
# ``pretrained=False`` would start from nothing, and want more hands than these. ``X_val`` and ``y_val`` are
# only looked at: the estimator writes down its error on them after each epoch, and chooses nothing by it.
est = CrossModalVAERegressor(
    backbone="resnet10",
    pretrained="hands",
    n_hidden_layers=2,
    given=("root",),
    augment=None,
    lr=1e-3,
    lr_schedule="cosine",
    batch_size=32,
    max_epochs=5,
    random_state=0,
)
est.fit(X[train], y[train], X_val=X[test], y_val=y[test])

# %%
# How good is that? A number of millimetres says little by itself. The mean pose of the training hands, which
# looks at no picture, is what any model must beat.
predicted = est.predict(X[test])
mean_pose = np.broadcast_to(align_root(y[train]).mean(axis=0), predicted.shape)
for name, answer in {"mean pose": mean_pose, "fitted": predicted}.items():
    print(f"{name:10s} {mean_epe(y[test], answer, align='root'):5.1f} mm, root given")

# %%
# The error on the people who were not trained on falls from epoch to epoch:
HistoryDisplay.from_estimator(est, terms=["valid_epe"], scale="linear")

# %%
# The share of joints that are nearer to the truth than a threshold:
PckCurveDisplay.from_predictions(y[test], {"mean pose": mean_pose, "fitted": predicted}, align="root")

# %%
# Some test hands: the prediction in colour over the truth, which is white on the pictures and grey in 3D.
# Half are the worst ones, which tell more than the best.
PredictionDisplay.from_predictions(
    y[test], predicted, X=X[test], align="root", which="worst", n_hands=3
).figure_.suptitle("the three worst", fontsize=9)
PredictionDisplay.from_predictions(
    y[test], predicted, X=X[test], align="root", which="random", n_hands=3, random_state=0
).figure_.suptitle("three drawn at random", fontsize=9)
# sphinx_gallery_thumbnail_number = 4

# %%
# And one to turn with the mouse or a finger; hold it over a joint for its name. The truth is grey.
# Predictions are absolute, because X has the column ``root``.
SkeletonDisplay(predicted[0], y[test][0]).to_plotly()
