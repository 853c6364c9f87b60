"""Parts of the generator behind `skhand.datasets.make_hands`."""
