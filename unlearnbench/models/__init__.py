"""From a model's name to its tokenizer and weights, and what they need."""
