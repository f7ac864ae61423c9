"""Leaderboard rows that are reference models, not methods."""

# The pre-trained model, the model that has memorised all training examples, and one trained without the forget set.
VANILLA, BASE, RETRAIN = "vanilla", "base", "retrain"
REFERENCE_ROWS = (VANILLA, BASE, RETRAIN)
