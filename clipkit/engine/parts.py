"""The engine's own parts: importing this module registers them."""

import clipkit.engine.amp
import clipkit.engine.checkpoint_hook
import clipkit.engine.hooks
import clipkit.engine.runner
import clipkit.engine.sampler  # noqa: F401
