"""The public names of clipkit, so that none vanishes or appears unseen.

After a wanted change: `python tests/test_public_names.py` rewrites the list; the commit shows what changed.
"""

import importlib
import json
from pathlib import Path

import pytest

LIST = Path(__file__).with_name("public_names.json")
PACKAGES = (
    "clipkit",
    "clipkit.adapters",
    "clipkit.backbone",
    "clipkit.data",
    "clipkit.engine",
    "clipkit.evaluation",
    "clipkit.inference",
    "clipkit.nn",
    "clipkit.optimise",
    "clipkit.shapes",
    "clipkit.store",
    "clipkit.text",
)


def names(package: str) -> list[str]:
    return sorted(getattr(importlib.import_module(package), "__all__", []))


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_those_of_the_list(package):
    assert names(package) == json.loads(LIST.read_text())[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_and_documented(package):
    module = importlib.import_module(package)
    for name in names(package):
        value = getattr(module, name)
        assert not callable(value) or value.__doc__, f"{package}.{name} has no docstring"


if __name__ == "__main__":
    LIST.write_text(json.dumps({package: names(package) for package in PACKAGES}, indent=1) + "\n")
