"""What decides a result, and the hash that names it."""
