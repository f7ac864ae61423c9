"""One cell: from the base model to a recorded result."""
