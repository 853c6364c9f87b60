"""A fifth estimator: poses by plain regression, through an encoder and a decoder without noise between."""

from __future__ import annotations

import torch
from torch import nn

from skhand.estimators._paired import PairedPoseEstimator
from skhand.nn import masked_mse
from skhand.training import MODALITIES, Objective, Stage, autocast, take_step


class RegressionObjective(Objective):
    """What a training step minimises: the mean squared error of the standardised target."""

    def __init__(self, pair, rows, **settings):
        super().__init__(**settings)
        self.pair, self.streams, self.modalities = pair, {"rows": rows}, {"rows": set(pair)}

    def step(self, module, batches, context):
        inputs, side, _ = self.read(batches, context.generator)["rows"]  # augmented and standardised
        source, target = self.pair
        with autocast(inputs[source].device, self.dtype):
            features, _ = module.encoders[source](inputs[source], side)
            output = module.decoders[target](features)
        loss = masked_mse(output, inputs[target])  # unknown coordinates, NaN, have no part in it
        take_step(context, loss)
        return {"mse": loss.detach()}


class DirectRegressor(PairedPoseEstimator):
    """Regression of y; `PoseEstimator` lists the methods that an estimator has to have."""

    beta, decoder, pretrained = 0.0, "plain", False  # read by the base, and not for the user to choose
    _paper_augment = {"rotate": 45.0, "shift": 0.1}  # noqa: RUF012

    def __init__(
        self, *, latent_dim=64, backbone="small", hidden_units=128, n_hidden_layers=2, lr=1e-3,
        max_epochs=100, batch_size=64, source="auto", given=(), root="palm", flat_poses=False, augment="auto",
        lr_schedule="constant", early_stopping=False, validation_fraction=0.1, n_iter_no_change=10, tol=1e-3,
        image_shape=None, checkpoint=None, averaging=None, n_jobs=None, callbacks=None, warm_start=False,
        device="auto", precision="auto", predict_precision="float32", random_state=None, verbose=False,
    ):  # fmt: skip
        vars(self).update({name: value for name, value in locals().items() if name != "self"})

    def _pairs(self, source):
        return [(source, "pose3d")]

    def _architecture(self):
        return {"latent_dim": self.latent_dim, **vars(self._layers())}

    def _n_latent(self):
        return self.architecture_["latent_dim"]

    def _build_module(self, pretrained):
        layers, size = self._fitted_layers(pretrained), self._n_latent()
        source, target = ((MODALITIES[name], self.shapes_[name]) for name in self.pairs_[0])
        encoder = source[0].encoder(source[1], size, layers)
        decoder = target[0].decoder(target[1], size, layers)
        parts = {"encoders": {self.source_: encoder}, "decoders": {self.target_: decoder}}
        return nn.ModuleDict({name: nn.ModuleDict(part) for name, part in parts.items()})

    def _posterior(self, x, modality, batch):
        mean, _ = super()._posterior(x, modality, batch)
        return mean, torch.full_like(mean, -20.0)  # log-variance: next to none

    def _enter_stage(self, name, n_epochs, n_done, run):
        rows = run.data.require(self.pairs_[0])
        objective = RegressionObjective(self.pairs_[0], rows, **self._objective_settings(run))
        falls = self.lr_schedule == "cosine" and not run.one_epoch
        descent = (n_epochs, 0) if falls else None
        return Stage(objective, objective.streams, self.lr, self.batch_size, n_epochs, descent=descent)
