"""mmengine's other readers, closed to code: annotations and proposals as pickles, YAML, downloaded weights."""

from __future__ import annotations

import pickle
from typing import Any

import torch
import yaml
from mmengine.fileio import PickleHandler, YamlHandler, register_handler
from mmengine.runner.checkpoint import get_torch_safe_globals

from clipkit.engine.traps import read_addresses_by
from clipkit.errors import ClipkitError, one_line

__all__ = ["guard_files"]


class _NoPickles(PickleHandler):
    """Writes them, as mmdet's metrics do, and reads none."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        raise ClipkitError(
            f"{getattr(file, 'name', 'a file')}: is a pickle, which runs whatever its author wrote into it, so it is "
            "not opened; if you made it yourself, save its content as JSON"
        )

    def load_from_path(self, filepath: Any, **kwargs: Any) -> Any:
        with open(filepath, "rb") as file:
            return self.load_from_fileobj(file)


class _PlainYaml(YamlHandler):
    """Lists, dicts, text and numbers: mmengine's loader makes any object of Python that the text names."""

    def load_from_fileobj(self, file: Any, **kwargs: Any) -> Any:
        try:
            return yaml.load(file, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise ClipkitError(f"{getattr(file, 'name', 'a file')}: no plain YAML ({one_line(error, 120)})") from None


def guard_files() -> None:
    """Makes data of what a data set's `ann_file` or `proposal_file` names, and of what an address of weights brings."""
    register_handler(["pickle", "pkl"])(_NoPickles)
    register_handler(["yaml", "yml"])(_PlainYaml)
    read_addresses_by(_load_url)


def _load_url(url: str, **options: Any) -> Any:
    try:
        with torch.serialization.safe_globals(get_torch_safe_globals()):
            return torch.hub.load_state_dict_from_url(url, **{**options, "weights_only": True})
    except pickle.UnpicklingError as error:
        raise ClipkitError(f"{url}: refused: holds more than tensors ({one_line(error, 120)})") from error
