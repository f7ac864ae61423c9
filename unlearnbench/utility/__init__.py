"""Benchmarks of lm-evaluation-harness for the models of finished cells: what else did unlearning break?"""
