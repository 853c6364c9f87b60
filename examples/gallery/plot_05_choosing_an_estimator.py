"""
Choosing an estimator by a measured table
=========================================

Which estimator? Measure it, on people who were not trained on, with the same help for all, and with the
seconds that it takes. This page makes such a table at a small size; the tables of the :doc:`benchmarks
</benchmarks/index>` are larger.

============================================  ==========================================================
if you have                                   start with
============================================  ==========================================================
photographs and no labels                     `HandTracker`, or `LatentHeatmapRegressor.from_pretrained`
pictures with cameras, 25 to 1 000 labels     ``LatentHeatmapRegressor.from_pretrained().fit(X, y)``
keypoints, tables, depth; several modalities  `CrossModalVAERegressor`
photographs, T, S and H, and time             `AlignedLatentRegressor`
many synthetic pictures, few real labels      `SimToRealRegressor`
============================================  ==========================================================
"""

import time

from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GroupShuffleSplit

from skhand.datasets import make_hands
from skhand.estimators import AlignedLatentRegressor, CrossModalVAERegressor, LatentHeatmapRegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe, pck_auc
from skhand.plotting import JointErrorDisplay, PckCurveDisplay

hands = make_hands(
    360, image_size=128, n_subjects=60, side="right", rotation=60, images=("rgb",), random_state=1
)
X, y = hands.data, hands.target
train, test = next(GroupShuffleSplit(1, test_size=0.2, random_state=0).split(y, groups=hands.groups))

# %%
# All are given the root (T), start from the trunk that ships, and see the training pictures three times. Of
# the aligned estimator only the first stage fits in here; the others take more than twice as long as it.
common = {"given": ("root",), "augment": None, "lr_schedule": "cosine", "batch_size": 32, "random_state": 0}
trunk = {"backbone": "resnet10", "pretrained": "hands", "n_hidden_layers": 2, "lr": 1e-3}
candidates = {
    "VAE": CrossModalVAERegressor(max_epochs=3, **trunk, **common),
    "aligned": AlignedLatentRegressor(stages=("vae",), max_epochs=3, **trunk, **common),
    "heatmaps": LatentHeatmapRegressor.from_pretrained(max_epochs=3, lr=2e-4, **common),
}

# %%
# The mean pose is a baseline that asks nothing of the pictures; the shipped weights without a fit are the
# other one.
rooted = align_root(y).reshape(len(y), -1)
mean_pose = DummyRegressor().fit(train[:, None], rooted[train]).predict(test[:, None])
predicted, seconds = {"mean pose": mean_pose.reshape(-1, 21, 3)}, {"mean pose": 0.0}
predicted["as shipped"], seconds["as shipped"] = candidates["heatmaps"].predict(X[test]), 0.0
for name, est in candidates.items():
    start = time.process_time()
    est.fit(X[train], y[train])
    seconds[name] = time.process_time() - start
    predicted[name] = est.predict(X[test])

print(f"{'':12s}{'EPE':>9s}{'AUC 0-50':>10s}{'fit':>8s}")
for name, answer in predicted.items():
    epe, area = (
        mean_epe(y[test], answer, align="root"),
        pck_auc(y[test], answer, align="root", thresholds="freihand"),
    )
    print(f"{name:12s}{epe:6.1f} mm{area:10.3f}{seconds[name]:6.0f} s")

# %%
# The heatmaps are far ahead, because their whole network has seen millions of generated hands, and the others
# only have its trunk. For the same reason a fit adds nothing to them here; on hands of another kind it does:
# :doc:`plot_03_own_camera`. The curves of all in one axis:
PckCurveDisplay.from_predictions(y[test], predicted, align="root")

# %%
# And where the best one errs:
best = min(candidates, key=lambda name: mean_epe(y[test], predicted[name], align="root"))
print(best)
JointErrorDisplay.from_predictions(y[test], predicted[best], align="root")
