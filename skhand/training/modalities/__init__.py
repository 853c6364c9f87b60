"""The modalities, one module each: what is added here is a source and a target everywhere."""

from __future__ import annotations

import importlib
import pkgutil

from skhand.training.modalities._record import (
    DECODERS,
    CodecSettings,
    Layers,
    Modality,
    Motion,
    Picture,
    Vector,
)

__all__ = ["DECODERS", "MODALITIES", "CodecSettings", "Layers", "Modality", "Motion", "Picture", "Vector"]


def _find() -> dict[str, Modality]:
    """Return the record that each module of this package defines, by name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name[0] != "_")
    records = [importlib.import_module(f"{__name__}.{name}").MODALITY for name in names]
    return {record.name: record for record in sorted(records, key=lambda record: record.order)}


#: every modality by name, in the order in which "auto" looks for them
MODALITIES: dict[str, Modality] = _find()
