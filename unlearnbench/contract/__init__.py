"""What the author of a plugin implements or is given."""
