"""mkdocs: a plugin's page is its README, two pages are files beside it, with links that fit where the page lies."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replaces `{README plugins/lseg}`, `{FILE CHANGELOG.md}` by that file, whose links become relative to the page,
    and `{CODE examples/lseg.py}` by a program's text."""

    def read(match: re.Match) -> str:
        text = (ROOT / match[1] / "README.md").read_text(encoding="utf-8")
        return text.replace("](../../docs/", "](../")

    def beside(match: re.Match) -> str:
        text = (ROOT / match[1]).read_text(encoding="utf-8")
        return re.sub(r"\]\(plugins/(\w+)/README\.md", r"](plugins/\1.md", text.replace("](docs/", "]("))

    markdown = re.sub(r"\]\(\.\./plugins/(\w+)/README\.md", r"](plugins/\1.md", markdown)  # of pages in docs/ itself
    markdown = re.sub(r"\{CODE ([\w/]+\.py)\}", lambda m: f"```python\n{(ROOT / m[1]).read_text()}```", markdown)
    markdown = re.sub(r"\{FILE (\w+\.md)\}", beside, markdown)
    return re.sub(r"\{README ([\w/]+)\}", read, markdown)
