"""Rows of two domains, and whose labels are used."""

from __future__ import annotations

from typing import Any

import numpy as np

from skhand._validation import check_option, warn_user
from skhand.estimators._data import Columns, DataDescription, DataReader
from skhand.estimators._inputs import find_source, find_usable_rows
from skhand.estimators.sim_to_real.network import DOMAINS
from skhand.estimators.sim_to_real.settings import SOURCES
from skhand.exceptions import InputError, TrainingWarning
from skhand.frames import HandFrames

__all__ = ["DomainReader"]


class DomainReader(DataReader):
    """Reads pictures of both domains: every row gets one, and labels that are not to be used become NaN."""

    def _find_source(self, X: Any) -> str:
        return find_source(X, self.estimator.source, self.estimator.image_shape, SOURCES)

    def _read_labelled(
        self, X: Any, y: Any, described: DataDescription, fresh: bool
    ) -> tuple[Columns, DataDescription]:
        columns, described = super()._read_labelled(X, y, described, fresh)
        supervision, domain = self.estimator.supervision, columns["domain"]
        domains = tuple(name for i, name in enumerate(DOMAINS) if (domain == i).any())
        if fresh and isinstance(self.estimator.stages, str):
            self._warn_of_one_domain(X, domains)
        if supervision != "all":
            poses = np.array(columns["pose3d"])
            poses[domain != DOMAINS.index(supervision)] = np.nan
            columns["pose3d"] = poses
        rows = np.arange(len(domain))
        if not find_usable_rows(columns, rows, described.pairs_[0], described.rooted).any():
            raise InputError(
                f"supervision: {supervision!r} needs labelled rows"
                f"{'' if supervision == 'all' else f' of the {supervision} domain'}, got none; "
                f"the domains of X are {domains}."
            )
        return columns, described

    def _add_targets(
        self, columns: Columns, y: Any, described: DataDescription, fresh: bool
    ) -> DataDescription:
        self._add_domain(columns, described.source_)
        return super()._add_targets(columns, y, described, fresh)

    def read_rows(self, X: Any, source: str, target: str) -> Columns:
        """Return the checked columns of rows to predict, each with its domain."""
        columns = super().read_rows(X, source, target)
        self._add_domain(columns, source)
        return columns

    def _add_domain(self, columns: Columns, source: str) -> None:
        """Put rows without the name of a domain into the one that the parameter says."""
        domain = check_option(self.estimator.domain, "domain", DOMAINS)
        named = columns.get("domain", np.full(len(columns[source]), -1))
        columns["domain"] = np.where(named < 0, DOMAINS.index(domain), named)

    def _warn_of_one_domain(self, X: Any, domains: tuple[str, ...]) -> None:
        """Warn where rows have several names, which are all of one domain: the stage "depth" is left out."""
        if not (isinstance(X, HandFrames) and "domain" in X.columns):
            return
        names = np.unique(X.domain.astype(str)).tolist()
        if len(domains) == 1 and len(names) > 1:
            warn_user(
                f"domain: X's rows are named {names}, which are all {domains[0]}: only the name "
                f"'synthetic' is synthetic, and rows without a name are {self.estimator.domain}. The stage "
                "'depth', which needs both domains, is left out.",
                TrainingWarning,
            )
