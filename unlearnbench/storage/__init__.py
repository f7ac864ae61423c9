"""Folders that processes share, and the hub that fills them."""
