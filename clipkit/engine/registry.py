"""Registries of the scope `clipkit`: children of mmengine's roots, so a config can mix clipkit's and mmseg's parts.

A part is found before anything imported it: a look-up of a name that is not registered yet imports the room that
registers it (`clipkit.engine.register`), and no other.
"""

from __future__ import annotations

import sys

from mmengine.registry import root
from mmengine.registry.registry import Registry

from clipkit.engine.register import import_mmcv, import_room_of, quiet_imports


class PartsOnDemand(Registry):
    """A registry of the scope `clipkit` that imports what it is asked for."""

    def get(self, key: str) -> type | None:
        """The part of a name: `Part` or `clipkit.Part` of clipkit, `Part` of mmengine, `mmseg.Part`, …; None where
        nothing has it.

        Raises:
            ClipkitError: the part is clipkit's, and its room needs a package that is not installed.
        """
        scope, name = Registry.split_scope_key(key)
        if scope not in (None, self.scope, self.root.scope):
            with quiet_imports():  # the first look-up among mmseg's or mmdet's parts imports them
                return super().get(key)
        if name not in self.module_dict:
            import_room_of(name)
        if name not in self.module_dict and name not in self.root.module_dict:
            import_mmcv(self.name)
        return super().get(key)


def _child(parent: Registry) -> Registry:
    return PartsOnDemand(parent.name, parent=parent, scope="clipkit")


DATASETS = _child(root.DATASETS)
DATA_SAMPLERS = _child(root.DATA_SAMPLERS)
EVALUATOR = _child(root.EVALUATOR)
FUNCTIONS = _child(root.FUNCTIONS)
HOOKS = _child(root.HOOKS)
INFERENCERS = _child(root.INFERENCERS)
LOG_PROCESSORS = _child(root.LOG_PROCESSORS)
LOOPS = _child(root.LOOPS)
METRICS = _child(root.METRICS)
MODELS = _child(root.MODELS)
MODEL_WRAPPERS = _child(root.MODEL_WRAPPERS)
OPTIMIZERS = _child(root.OPTIMIZERS)
OPTIM_WRAPPERS = _child(root.OPTIM_WRAPPERS)
OPTIM_WRAPPER_CONSTRUCTORS = _child(root.OPTIM_WRAPPER_CONSTRUCTORS)
PARAM_SCHEDULERS = _child(root.PARAM_SCHEDULERS)
RUNNERS = _child(root.RUNNERS)
TASK_UTILS = _child(root.TASK_UTILS)
TRANSFORMS = _child(root.TRANSFORMS)
VISBACKENDS = _child(root.VISBACKENDS)
VISUALIZERS = _child(root.VISUALIZERS)
WEIGHT_INITIALIZERS = _child(root.WEIGHT_INITIALIZERS)

ROOTS: tuple[Registry, ...] = tuple(value for value in vars(root).values() if isinstance(value, Registry))

# mmengine looks for `<scope>.registry` whenever the default scope is used, and warns at every build if it is missing.
# clipkit/ outside engine/ must not need mmengine, so the name exists only once the engine is loaded.
sys.modules.setdefault("clipkit.registry", sys.modules[__name__])

__all__ = [name for name, value in vars().items() if isinstance(value, Registry)] + ["ROOTS"]
