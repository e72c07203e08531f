"""`clipkit doctor` on two projects of one name, clipkit, with their metadata on the path; and on Python's age."""

import sys

import pytest

from clipkit.commands import doctor


def install(folder, name, number, command):
    place = folder / f"{name}-{number}.dist-info"
    place.mkdir()
    (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    (place / "entry_points.txt").write_text(f"[console_scripts]\nclipkit = {command}\n")


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The only folder in which distributions are found."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    return tmp_path


def only(check):
    (finding,) = check()
    return finding


def test_another_projects_clipkit_over_ours(site):
    install(site, "openclipkit", "0.1.0", "clipkit.cli:main")
    install(site, "clipkit", "2.14.0", "clipkit.clipkit:main")
    finding = only(doctor._clipkit)
    assert finding.text.startswith("openclipkit 0.1.0, and clipkit 2.14.0, another project's, in one folder")
    assert finding.advice.startswith("pip uninstall -y clipkit openclipkit, then ")


def test_another_projects_clipkit_beside_a_checkout(site):
    install(site, "clipkit", "2.14.0", "clipkit.clipkit:main")
    assert only(doctor._clipkit).advice


@pytest.mark.parametrize("before", [True, False])
def test_ours_alone_is_well(site, before):
    """Also where it was installed before under its older name."""
    install(site, "openclipkit", "0.1.0", "clipkit.cli:main")
    if before:
        install(site, "clipkit", "0.1.0", "clipkit.cli:main")
    assert only(doctor._clipkit) == ("clipkit", "openclipkit 0.1.0", "")


def test_a_checkout_that_is_not_installed(site):
    assert only(doctor._clipkit) == ("clipkit", "runs from its folder, not installed", "")


@pytest.mark.parametrize(
    "here, text, advice",
    [
        ((3, 10), "", "clipkit needs Python 3.11 to 3.13"),
        ((3, 11), "", ""),
        ((3, 13), "", ""),
        ((3, 14), "newer than clipkit's Python 3.11 to 3.13", ""),
    ],
)
def test_pythons(monkeypatch, here, text, advice):
    monkeypatch.setattr(sys, "version_info", (*here, 0))
    finding = only(doctor._python)
    assert finding.text.endswith(text) and finding.advice == advice
    assert text or "newer" not in finding.text
