"""Tensors: token ids, forward passes, soft prompts, training."""
