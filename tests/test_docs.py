"""The static site: every page is in the navigation, every plugin has a page, links lead somewhere."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
NAVIGATION = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r"[\w/]+\.md", NAVIGATION.partition("\nnav:")[2]))
    assert listed == {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}


def test_every_plugin_and_module_has_a_page():
    for folder in (ROOT / "plugins").iterdir():
        if (folder / "README.md").is_file():
            page = DOCS / "plugins" / f"{folder.name}.md"
            assert page.is_file() and page.read_text().strip() == f"{{README plugins/{folder.name}}}", folder.name
    modules = {path.parent.name for path in (ROOT / "clipkit").glob("*/__init__.py")}
    assert modules == {page.stem for page in (DOCS / "api").glob("*.md")}


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_tests_that_hold_what_is_promised_exist():
    named = set(re.findall(r"[\w/]*test_\w+\.py", (DOCS / "trust.md").read_text(encoding="utf-8")))
    assert named and not [name for name in named if not (ROOT / "tests" / name).is_file()]


def test_navigation_is_yaml():
    assert yaml.safe_load(NAVIGATION)["nav"]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="needs the extra docs")
def test_the_site_builds(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "lseg_unseen.png" in (tmp_path / "plugins" / "lseg" / "index.html").read_text(encoding="utf-8")
    assert "ContrastiveLoss" in (tmp_path / "api" / "adapters" / "index.html").read_text(encoding="utf-8")
