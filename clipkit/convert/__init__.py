"""Checkpoints of a plugin's original, both ways."""
