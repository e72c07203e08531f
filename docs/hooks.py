"""mkdocs: a plugin's page is its README, with links that fit where the page lies."""

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replaces `{README plugins/lseg}` by that file; links to `docs/` become relative to the page."""

    def read(match: re.Match) -> str:
        text = (ROOT / match[1] / "README.md").read_text(encoding="utf-8")
        return text.replace("](../../docs/", "](../")

    markdown = re.sub(r"\]\(\.\./plugins/(\w+)/README\.md", r"](plugins/\1.md", markdown)  # of pages in docs/ itself
    return re.sub(r"\{README ([\w/]+)\}", read, markdown)
