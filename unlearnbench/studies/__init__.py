"""Experiments around a leaderboard: series of runs, their tables and plots."""
