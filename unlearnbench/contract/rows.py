"""The rows of a leaderboard that are no method's."""

# The pre-trained model, the model that has memorised all training examples, and the one that never saw the forget set.
VANILLA, BASE, RETRAIN = "vanilla", "base", "retrain"
REFERENCE_ROWS = (VANILLA, BASE, RETRAIN)
