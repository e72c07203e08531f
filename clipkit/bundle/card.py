"""The model card: `README.md` with the hub's header. It says what the bundle's own records say, and nothing else."""

from __future__ import annotations

import re
from typing import Any

import yaml

from clipkit.bundle.records import Records
from clipkit.errors import shown

_LISTED = 100  # labels; the others are in labels.json
_CELL = re.compile(r"([\\`*_{}\[\]<>|#])")


def write_card(
    name: str, kind: str, predictor: str, tag: str, records: Records, clips: list[tuple[str, str]], licence: str | None
) -> str:
    """The text of a card.

    Args:
        name: title.
        kind: the model's type.
        predictor: 'module.Class' of what predicts with it.
        tag: the hub's word for the task, or ''.
        clips: (name as a config says it, repository on the hub or '') of each CLIP that is named, not held.
        licence: as the hub writes it, 'apache-2.0'; None: nobody has said.
    """
    header: dict[str, Any] = {"library_name": "clipkit", "tags": ["clipkit", "clip"]}
    if tag:
        header["pipeline_tag"] = tag
    if licence:
        header["license"] = licence
    if bases := sorted({repository for _, repository in clips if repository}):
        header["base_model"] = bases
    module, _, predictor = predictor.rpartition(".")
    return "\n".join(
        [
            "---",
            yaml.safe_dump(header, sort_keys=False, allow_unicode=True).strip(),
            "---",
            "",
            f"# {_plain(name)}",
            "",
            f"A model of clipkit, `{_code(kind)}`; {_trained(records)}.",
            *_clip_lines(clips),
            "",
            "```python",
            f"from {module} import {predictor}",
            "",
            f'model = {predictor}.from_pretrained("hf-hub:OWNER/NAME")  # or the folder',
            "```",
            "",
            "## Labels",
            "",
            _labels(records.labels),
            "",
            "## Scores",
            "",
            *_scores(records),
            "",
            "## Licence",
            "",
            f"`{_code(licence)}`, as its author says." if licence else "Nobody has said one: ask the author.",
            "",
        ]
    )


def _plain(text: str) -> str:
    return _CELL.sub(r"\\\1", shown(text, 120))


def _code(text: str) -> str:
    return shown(text, 120).replace("`", "'")


def _trained(records: Records) -> str:
    steps = records.trained.get("iterations")
    return f"trained for {steps:,} iterations" if isinstance(steps, int) else "how long it was trained is not recorded"


def _clip_lines(clips: list[tuple[str, str]]) -> list[str]:
    said = ", ".join(f"`{_code(name)}`" for name, _ in clips)
    return [f"Its frozen CLIP is named, not held: {said}; weights with another hash are refused."] if said else []


def _labels(labels: tuple[str, ...]) -> str:
    if not labels:
        return "It has none of its own."
    more = f", and {len(labels) - _LISTED} more in `labels.json`" if len(labels) > _LISTED else ""
    return f"{len(labels)}: " + ", ".join(map(_plain, labels[:_LISTED])) + more


def _scores(records: Records) -> list[str]:
    if not records.scores:
        return ["None are recorded for this checkpoint."]
    of = f"On {', '.join(f'`{_code(kind)}`' for kind in records.measured)}:" if records.measured else "As recorded:"
    rows = [f"| {_plain(name)} | {value:g} |" for name, value in records.scores.items()]
    return [of, "", "| score | value |", "|---|---|", *rows]
