"""Registries of the scope `clipkit`: children of mmengine's roots, so a config can mix clipkit's and mmseg's parts."""

from __future__ import annotations

import sys

from mmengine.registry import root
from mmengine.registry.registry import Registry


def _child(parent: Registry) -> Registry:
    return Registry(parent.name, parent=parent, scope="clipkit")


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
