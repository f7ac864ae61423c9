"""The rows of a leaderboard that are no method's."""

# The pre-trained model, and the model that has memorised all training examples.
VANILLA, BASE = "vanilla", "base"
