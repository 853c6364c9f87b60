"""Transformers that crop, turn, mirror and scale tables of hands, and lead back to the original picture."""

__all__: list[str] = []
