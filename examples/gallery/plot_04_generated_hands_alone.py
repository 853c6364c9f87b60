"""
What generated hands alone are worth
====================================

The weights that ship have seen generated hands and nothing else. How much is that worth on pictures that look
otherwise? Photographs cannot come with skhand; on 400 of them, measured elsewhere, the answer is 15.7 mm
relative to the palm and 10.9 mm after Procrustes alignment (:doc:`/weights`). On yours, labelled as in
:doc:`plot_03_own_camera`, ``skhand evaluate hands FOLDER`` writes a report. What can run here are pictures of
other people, drawn in ways that move further and further from plain ones.
"""

import numpy as np

from skhand.datasets import make_hands
from skhand.estimators import LatentHeatmapRegressor
from skhand.geometry import align_root
from skhand.metrics import joint_errors, mean_epe
from skhand.plotting import PckCurveDisplay, PredictionDisplay

est = LatentHeatmapRegressor.from_pretrained()

# %%
# The same 80 poses of the same people five times: row i of ``make_hands`` depends on the seed alone.
# ``strange`` draws hands as other renderers do, with an arm that ends, a skin of any colour, or light from
# everywhere; "a bad camera" shakes, is noisy and compresses.
manners = {
    "plain": {},
    "drawn otherwise": {"strange": 1.0},
    "something before it": {"occluders": 1.0},
    "a bad camera": {"motion": 1.0, "noise": 3.0, "blur": 2.0, "jpeg": (5, 15)},
    "all of it": {
        "strange": 1.0,
        "occluders": 1.0,
        "motion": 1.0,
        "noise": 3.0,
        "blur": 2.0,
        "jpeg": (5, 15),
    },
}
sets = {
    name: make_hands(
        80, image_size=128, n_subjects=40, rotation=100, images=("rgb",), random_state=2026, **how
    )
    for name, how in manners.items()
}
y = sets["plain"].target
predicted = {name: est.predict(hands.data) for name, hands in sets.items()}

# %%
# The mean pose is that of the test hands themselves, so it is as good as a mean pose can be.
answers = {"mean pose": np.broadcast_to(align_root(y).mean(axis=0), y.shape), **predicted}
print(f"{'':22s}{'rooted':>10s}{'Procrustes':>12s}")
for name, answer in answers.items():
    errors = [mean_epe(y, answer, align=align) for align in ("root", "procrustes")]
    print(f"{name:22s}{errors[0]:7.1f} mm{errors[1]:9.1f} mm")

# %%
PckCurveDisplay.from_predictions(y, answers, align="root")

# %%
# Hands that are drawn otherwise cost next to nothing, a thing before the hand some, and a bad camera most.
# Three hands in four of the manners, with the truth in white and the prediction in colour:
for name in ("plain", "drawn otherwise", "something before it", "a bad camera"):
    display = PredictionDisplay.from_predictions(
        y[:3],
        predicted[name][:3],
        X=sets[name].data[:3],
        align="root",
        which="first",
        kind="picture",
    )
    display.figure_.suptitle(name, fontsize=9)
# sphinx_gallery_thumbnail_number = 3

# %%
# A mean says little about one picture. The errors below which a tenth, a half and nine tenths of the hands
# lie, mm:
for name, answer in predicted.items():
    errors = joint_errors(y, answer, align="root").mean(axis=1)
    print(f"{name:22s}", *(f"{error:6.1f}" for error in np.quantile(errors, [0.1, 0.5, 0.9])))
