"""Every reader over damaged files: a few cases of each here, many with `-m slow` or `python tests/fuzz/run.py`."""

import pytest

pytest.importorskip("mmseg")
pytest.importorskip("supervision")
pytest.importorskip("pycocotools")
pytest.importorskip("av")
pytest.importorskip("h5py")
pytest.importorskip("transformers")
pytest.importorskip("pyarrow")

from fuzz.run import run
from fuzz.table import table

TABLE = table()


def defects(name, request, tmp_path, capfd, cases):
    found = run(TABLE[name], max(1, round(cases * TABLE[name].share)), request.config.getoption("fuzz_seed"), tmp_path)
    return f"{dict(found)}\n{capfd.readouterr().out}" if found else ""


@pytest.mark.parametrize("name", TABLE)
def test_a_few_damaged_files_are_refused_in_one_line(name, request, tmp_path, capfd):
    found = defects(name, request, tmp_path, capfd, request.config.getoption("fuzz_cases") or 5)
    assert not found, found


@pytest.mark.slow
@pytest.mark.parametrize("name", TABLE)
def test_many_damaged_files_are_refused_in_one_line(name, request, tmp_path, capfd):
    found = defects(name, request, tmp_path, capfd, request.config.getoption("fuzz_cases") or 500)
    assert not found, found
