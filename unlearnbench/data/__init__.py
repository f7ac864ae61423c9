"""Rows of a task: loaded, sampled, checked, cached."""
