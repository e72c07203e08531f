"""The table of tasks: who predicts with a trained model, and who writes what it predicts.

A plugin adds its own task where it registers its parts:

    register_task("depth", "my_plugin.predict:DepthPredictor", "my_plugin.predict:DepthFiles")
"""

from __future__ import annotations

import pkgutil
from typing import Any, NamedTuple

from clipkit.errors import ClipkitError


class Task(NamedTuple):
    """A row of the table; see `register_task`."""

    name: str
    predictor: Any
    writer: Any

    def load(self) -> tuple[Any, Any]:
        """The two classes."""
        return tuple(pkgutil.resolve_name(kind) if isinstance(kind, str) else kind for kind in self[1:])


TASKS: dict[str, Task] = {}


def register_task(name: str, predictor: Any, writer: Any = None) -> None:
    """Adds a task.

    Args:
        name: of the task, one word.
        predictor: a subclass of `clipkit.predict.predictor.Predictor`, whose `handles(model)` says which models are
            its own; or 'module:Class', which is imported only when somebody predicts.
        writer: a class like `clipkit.predict.files.ResultFiles`, or 'module:Class'; None where `clipkit predict` has
            no files to write.

    Raises:
        ClipkitError: another predictor or writer has this name.
    """
    task = Task(name, predictor, writer)
    if TASKS.setdefault(name, task) != task:
        raise ClipkitError(f'the task "{name}" is registered twice, for {TASKS[name].predictor} and {predictor}')
