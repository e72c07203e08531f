"""Plugins of this repository, found by listing this package."""
