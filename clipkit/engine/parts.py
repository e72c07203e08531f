"""The engine's own parts: importing this module registers them."""

from clipkit.engine import amp, checkpoint_hook, hooks, runner, sampler  # noqa: F401
