"""Each adapter's docstring has an example, and the example runs."""

import doctest
import importlib
import inspect

import pytest
import torch

from clipkit import adapters

CLASSES = [name for name in adapters.__all__ if inspect.isclass(getattr(adapters, name))]


@pytest.mark.parametrize("name", CLASSES)
def test_the_example_of_an_adapter_runs(name):
    adapter = getattr(adapters, name)
    scope = {"torch": torch, **vars(importlib.import_module(adapter.__module__))}
    found = doctest.DocTestFinder(recurse=False).find(adapter, name, globs=scope)
    assert found and found[0].examples, f"{name} has no example"
    result = doctest.DocTestRunner().run(found[0])
    assert result.attempted and not result.failed
