"""Values that a config writes once and uses in many places; `--cfg-options variables.x=…` changes them everywhere."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config

from clipkit.data.bad_files import read_on_bad


def resolve_variables(cfg: Config) -> None:
    """Replaces `{name}` in every string of the config by `variables['name']`, in place.

    A string that is nothing but `{name}` takes the variable's value as it is (a number, a list). Braces with other
    names, such as the `{}` of prompt templates, stay.
    """
    variables = dict(cfg.get("variables") or {})
    if "on_bad" in variables and "broken" in variables:
        variables["on_bad"] = read_on_bad("skip", variables.pop("broken"))
    for key in list(cfg):
        if key != "variables":
            cfg[key] = _resolve(cfg[key], variables)


def _resolve(value: Any, variables: dict[str, Any]) -> Any:
    if isinstance(value, str):
        for name, replacement in variables.items():
            if value == "{" + name + "}":
                return replacement
            value = value.replace("{" + name + "}", str(replacement))
        return value
    if isinstance(value, dict):
        for key in list(value):
            value[key] = _resolve(value[key], variables)
        return value
    if isinstance(value, (list, tuple)):
        return type(value)(_resolve(item, variables) for item in value)
    return value
