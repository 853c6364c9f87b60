"""
From simulation to a depth camera, with few labels
==================================================

Synthetic pictures have labels for nothing, and look unlike what a camera sees. Pictures of a camera look
right, and labels of them are dear. `SimToRealRegressor` (Abdi et al. 2018) learns from one table with both:
its column ``domain`` says where a row comes from, and rows of the camera have NaN for a pose where nobody
made one.

The camera here is generated too, a stand-in: ``domain="real"`` of `make_hands` is depth as a first Kinect
measures it, with noise, holes and other people, and ``sensor="lossy"`` one in bad shape. 600 synthetic hands,
300 of the camera, 40 of which have a pose.
"""

import matplotlib.pyplot as plt
import numpy as np

from skhand import concat_frames
from skhand.datasets import make_hands
from skhand.estimators import SimToRealRegressor
from skhand.geometry import align_root
from skhand.metrics import mean_epe

settings = {
    "image_size": 32,
    "images": ("depth",),
    "side": "right",
    "rotation": 30,
    "framing": 300.0,
    "distance": (1500, 2500),
}
real = {"domain": "real", "sensor": "lossy", **settings}
synthetic = make_hands(600, n_subjects=100, random_state=0, **settings)
camera = make_hands(300, n_subjects=50, random_state=1, **real)
test = make_hands(200, n_subjects=50, random_state=2, **real)

figure, axes = plt.subplots(2, 6, figsize=(8, 2.9), layout="constrained")
for line, hands, name in zip(axes, (synthetic, camera), ("synthetic", "camera"), strict=True):
    for ax, depth in zip(line, hands.data.depth, strict=False):
        ax.imshow(np.where(depth > 0, depth, np.nan), cmap="gray")
        ax.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)

# %%
# One table, and one y:
y_camera = camera.target.copy()
y_camera[40:] = np.nan
X = concat_frames([synthetic.data, camera.data])
y = np.concatenate([synthetic.target, y_camera])
print(X)
print(np.sum(X.domain == "synthetic"), "synthetic,", np.sum(X.domain == "real"), "of the camera")

# %%
# Three times the same estimator: with the labels of one domain alone, ``supervision``, and with those of
# both. The stages are the autoencoder of poses and the way from pictures into its latent space. The third
# stage of the paper, "depth", translates pictures from one domain to the other, and takes longer than a page
# may.
answers = {"mean pose": np.broadcast_to(align_root(synthetic.target).mean(axis=0), test.target.shape)}
for name, supervision in {"synthetic labels": "synthetic", "40 labels": "real", "both": "all"}.items():
    est = SimToRealRegressor(
        stages=("pose", "posterior"),
        supervision=supervision,
        posterior_start="synthetic",
        width=8,
        given=("root",),
        augment=None,
        lr=1e-3,
        max_iter={"pose": 1000, "posterior": 1000},
        random_state=0,
    )
    answers[name] = est.fit(X, y).predict(test.data)

errors = {name: mean_epe(test.target, answer, align="root") for name, answer in answers.items()}
for name, error in errors.items():
    print(f"{name:18s}{error:6.1f} mm, root given")

# %%
# Forty labels of the camera alone do next to nothing, six hundred synthetic ones more, and both together
# most. ``posterior_start="synthetic"``, which is not in the paper, is what makes them add up in so short a
# training: the layers that read the camera's pictures start from those that read synthetic ones; without it
# both had 28.5 mm. One seed; with the third stage and longer trainings in the :doc:`benchmarks
# </benchmarks/index>`.
figure, ax = plt.subplots(figsize=(6, 2.6), layout="constrained")
bars = ax.barh(list(errors), errors.values(), color=["0.7", "C0", "C0", "C1"])
ax.bar_label(bars, fmt="%.1f", padding=3)
ax.invert_yaxis()
ax.set(xlabel="mean error on the camera's pictures [mm]", xlim=(0, 1.12 * max(errors.values())))
