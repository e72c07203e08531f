"""What embeds ahead: reads each item once and early, leaves out or ends at what cannot be read, refuses NaN."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from clipkit.embed._work import Work
from clipkit.errors import ClipkitError
from clipkit.store import Store


class Lengths(Work[bytes]):
    """A row for each letter of a name: 'bad…' cannot be read, 'gone…' is nobody's."""

    unit, per_row = "letters", 2

    def __init__(self, pool, on_bad="raise"):
        super().__init__(pool, on_bad)
        self.seen = []

    def read(self, key):
        self.seen.append(key)
        if key.startswith("gone"):
            return None
        return f"{key}.png: no picture" if key.startswith("bad") else key.encode()

    def embed(self, ids, items):
        assert not torch.is_grad_enabled()
        known = [item or b"" for item in items]
        rows = self.checked(torch.tensor([float("nan") if item == b"nan" else 1.0 for item in known for _ in item]))
        parts = rows.split([len(item) for item in known])
        return [{"data": part.numpy()} for part in parts]


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_a_store_reads_every_item_once_and_the_next_batch_meanwhile(pool, tmp_path):
    work, ids = Lengths(pool), ["a", "bb", "ccc", "dddd", "eeeee"]
    store = Store(tmp_path / "s", {"kind": "letters"}, shard_size=4, batch_size=2)
    store.build(ids, work, ahead=work.ahead, progress=False)
    assert [store.count(name) for name in ids] == [1, 2, 3, 4, 5]
    assert sorted(work.seen) == ids
    assert work.speed().endswith(" letters/s") and work._rows == 15


def test_what_is_announced_anew_is_not_read_again_and_the_rest_is_forgotten(pool):
    work = Lengths(pool)
    work.ahead(["a", "bb"])
    work.ahead(["bb", "ccc"])
    assert [len(record["data"]) for record in work(["bb", "ccc"])] == [2, 3]
    assert sorted(work.seen) == ["a", "bb", "ccc"]
    with pytest.raises(KeyError):
        work(["a"])


def test_what_cannot_be_read_has_no_rows_and_is_named(pool, capsys):
    work = Lengths(pool, on_bad="skip")
    work.ahead(["a", "bad1", "gone"])
    assert [len(record["data"]) for record in work(["a", "bad1", "gone"])] == [1, 0, 0]
    assert work.problems == {"bad1": "bad1.png: no picture"}  # and not `gone`, of which no file is to blame
    assert capsys.readouterr().err.split("\n") == ["", "skipped: bad1.png: no picture", ""]


def test_or_it_ends_the_run(pool):
    work = Lengths(pool, on_bad="raise")
    work.ahead(["a", "bad1"])
    with pytest.raises(ClipkitError, match=r"^bad1\.png: no picture$"):
        work(["a", "bad1"])


def test_rows_that_are_not_finite_are_refused(pool):
    work = Lengths(pool)
    work.ahead(["nan"])
    with pytest.raises(ClipkitError, match="not finite numbers"):
        work(["nan"])


def test_an_error_of_reading_that_no_file_is_to_blame_for_comes_out(pool):
    class Fails(Lengths):
        def read(self, key):
            raise OSError("the disk is gone")

    work = Fails(pool, on_bad="skip")
    work.ahead(["a"])
    with pytest.raises(OSError, match="the disk is gone"):
        work(["a"])
    assert not work.problems
