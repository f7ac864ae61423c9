"""Looks for ways to lose, duplicate or falsify results: random faults under real runs, random files from strangers."""
