"""
Heatmaps: where the network looks, and how sure it is
=====================================================

`LatentHeatmapRegressor` (Iqbal et al. 2018) finds each joint by a heatmap over the picture. Nobody draws
these maps as targets: they are latent, and what they look like is what was learned. Their spread says how
sure the network is.

The network is the one that ships; the 120 pictures are generated ones of people that it has not seen, half of
them with a thing before the hand.
"""

import matplotlib.pyplot as plt
import numpy as np

from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe
from skhand.plotting import HeatmapDisplay

hands = make_hands(120, image_size=128, occluders=0.5, rotation=90, images=("rgb",), random_state=11)
X, y = hands.data, hands.target
est = LatentHeatmapRegressor.from_pretrained()

# %%
# The maps of one hand, five joints of it in the colours of their fingers: the wrist in grey, then the tips of
# thumb, index, middle and little finger in orange, yellow, green and pink.
HeatmapDisplay.from_estimator(
    est, X, row=0, joints=["wrist", "thumb_tip", "index_tip", "middle_tip", "little_tip"]
)

# %%
# A joint's place is the mean of its map, its depth the mean of a second map under the first one. The camera
# and the mean length of a bone make millimetres of both:
predicted = est.predict(X)
mean_pose = np.broadcast_to(align_root(y).mean(axis=0), y.shape)
print(f"mean pose of these hands {mean_epe(y, mean_pose, align='root'):.1f} mm")
print(f"predicted                {mean_epe(y, predicted, align='root'):.1f} mm relative to the palm")

# %%
# Joints that are hidden have wider maps and larger errors than joints that are seen.
found = est.predict_keypoints(X)
error = np.linalg.norm(found - X.keypoints2d, axis=2)
maps = est.predict_heatmaps(X).joints
rows, columns = np.mgrid[: maps.shape[2], : maps.shape[3]]
weights = maps / maps.sum(axis=(2, 3), keepdims=True)
centre = [(weights * axis).sum(axis=(2, 3), keepdims=True) for axis in (rows, columns)]
variance = sum(
    (weights * (axis - c) ** 2).sum(axis=(2, 3)) for axis, c in zip((rows, columns), centre, strict=True)
)
spread = 4 * np.sqrt(variance)  # px: a pixel of a map covers 4 x 4 of the picture
seen = hands.visible
for name, chosen in {"seen": seen, "hidden": ~seen}.items():
    print(f"{name:7s} {chosen.sum():5d} joints: error {np.median(error[chosen]):4.1f} px", end=", ")
    print(f"spread of the map {np.median(spread[chosen]):4.1f} px (medians)")

# %%
# All joints in eight groups, from the narrowest map to the widest:
order = np.argsort(spread.ravel())
groups = np.array_split(order, 8)
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
ax.plot(
    [np.median(spread.ravel()[group]) for group in groups],
    [np.median(error.ravel()[group]) for group in groups],
    "o-",
)
ax.set(xlabel="spread of the heatmap [px]", ylabel="median error [px]", ylim=(0, None))

# %%
# So a wide map is a warning: look at the picture, or ask again. The hand with the widest ones:
widest = int(spread.mean(axis=1).argmax())
HeatmapDisplay.from_estimator(
    est, X, row=widest, joints=["wrist", "thumb_tip", "index_tip", "middle_tip", "little_tip"]
)
