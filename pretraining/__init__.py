"""Pre-trains the small model that the package carries: `python -m pretraining`."""
