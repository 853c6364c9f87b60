"""Posed hands and their pictures, made from seed and row number: what `skhand.datasets.make_hands` uses."""
