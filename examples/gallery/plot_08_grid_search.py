"""
A search over beta and the size of the latent space
===================================================

Estimators are scikit-learn's, and so are searches over them. Here two parameters of the variational
autoencoder of Spurr et al. (2018): ``beta``, the weight of the KL term, which the paper does not publish, and
``latent_dim``.

Keypoints in, poses out; 1 000 generated hands; each fold holds out other people.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np
from sklearn.dummy import DummyRegressor
from sklearn.model_selection import GridSearchCV, GroupKFold, cross_val_score

from skhand.datasets import make_hands
from skhand.estimators import CrossModalVAERegressor
from skhand.exceptions import TrainingWarning
from skhand.metrics import get_scorer

hands = make_hands(1000, n_subjects=100, side="right", rotation=60, images=(), random_state=0)
X, y = hands.data.keypoints2d, hands.target

# %%
# The scorer is the mean joint error relative to the palm, in mm, with a minus: more is better. Where ``beta``
# is so small that the KL term does nothing, every fit warns; we know that, and see in the table what it
# means.
est = CrossModalVAERegressor(
    given=("root",),
    n_hidden_layers=2,
    hidden_units=128,
    augment=None,
    lr=2e-3,
    lr_schedule="cosine",
    max_epochs=15,
    random_state=0,
)
grid = {"beta": [1e-4, 1e-3, 1e-2, 1e-1, 1.0], "latent_dim": [2, 8, 32]}
search = GridSearchCV(est, grid, scoring=get_scorer("neg_epe"), cv=GroupKFold(3), refit=False)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", TrainingWarning)
    search.fit(X, y, groups=hands.groups)

# %%
# The results as a heat map. Too large a ``beta`` drives the latent vectors to the prior, and nothing of the
# input is left: the error is then that of the mean pose. Two latent dimensions are too few for a hand.
errors = -search.cv_results_["mean_test_score"].reshape(len(grid["beta"]), len(grid["latent_dim"]))
flat = y.reshape(len(y), -1)
baseline = -cross_val_score(
    DummyRegressor(), X, flat, groups=hands.groups, cv=GroupKFold(3), scoring=get_scorer("neg_epe")
).mean()

figure, ax = plt.subplots(figsize=(5, 4.6), layout="constrained")
image = ax.imshow(errors, cmap="viridis_r", vmax=baseline)
for (i, j), error in np.ndenumerate(errors):
    dark = error > (errors.min() + baseline) / 2
    ax.text(j, i, f"{error:.1f}", ha="center", va="center", color="white" if dark else "black")
ax.set_xticks(range(len(grid["latent_dim"])), grid["latent_dim"])
ax.set_yticks(range(len(grid["beta"])), [f"{beta:g}" for beta in grid["beta"]])
ax.set(xlabel="latent_dim", ylabel="beta", title=f"mean error, root given; mean pose {baseline:.1f} mm")
figure.colorbar(image, ax=ax, label="mm", shrink=0.8)

# %%
# The best cell is one of several good ones: the folds differ by more than it does from its neighbour.
# ``refit=True`` would go on and fit it to all rows, as ``search.best_estimator_``.
print("best:", search.best_params_)
for fold in range(3):
    print(f"fold {fold}: {-search.cv_results_[f'split{fold}_test_score'][search.best_index_]:.1f} mm")
