"""clipkit: adapt a frozen CLIP to vision tasks."""

__version__ = "0.1.0"
