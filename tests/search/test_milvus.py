"""A Milvus collection of an index: the same answers, hostile patterns, what is sent again, whose rows it has."""

import fcntl
import json
from contextlib import closing
from importlib import util

import numpy as np
import pytest
from PIL import Image

from clipkit import cli
from clipkit.errors import ClipkitError
from clipkit.search import milvus as module
from clipkit.search.index import SearchIndex
from clipkit.search.milvus import Milvus, check_address, condition

slow = pytest.mark.slow
needs_milvus = pytest.mark.skipif(util.find_spec("milvus_lite") is None, reason="needs milvus-lite")
RNG = np.random.default_rng(0)
ROWS = RNG.standard_normal((1200, 16)).astype(np.float32)
ODD = [
    '/m/it\'s "q".mp4',
    "/m/50%_off.mp4",
    "/m/back\\slash.mp4",
    "/m/línea\nzwei.mp4",
    "/m/[b] {x}*?.mp4",
    "/m/\udcff.mp4",
]


def film(first, count):
    start = np.arange(count) / 2
    rows = ROWS[first : first + count].astype(np.float16)
    return {"embeddings": rows, "frame": np.arange(count), "start": start, "end": start + 0.5}


def make_index(folder, names, count=100, key="random"):
    index = SearchIndex(folder, {"kind": "frames", "from": key})
    index._write({f"{name}@1:1": film(count * number, count) for number, name in enumerate(names)})
    index._load()
    return index


@pytest.fixture
def index(tmp_path, monkeypatch):
    monkeypatch.setattr(SearchIndex, "_is_current", lambda self, file: True)
    return make_index(tmp_path / "index", [*(f"/m/{'odd' if n % 2 else 'even'}/{n}.mp4" for n in range(6)), *ODD])


def send(address, index):
    with closing(Milvus(address, index, make=True)) as milvus:
        return milvus.send()


def answers(index, query, milvus=None, **options):
    return [
        (moment.path, moment.frame, moment.start, moment.end, round(moment.score, 5))
        for moment in index.search(query, 8, milvus=milvus, **options)
    ]


@pytest.mark.parametrize(
    "pattern, wanted",
    [
        ("*/holiday/*.mp4", 'path like "%/holiday/%.mp4"'),
        ('" or true or path like "', 'path like "% or true or path like %"'),
        ("a\\%b_c'd", 'path like "a%b_c%d"'),
        ("a?[xyz]b", 'path like "a%%"'),
        ("é\n", 'path like "%"'),
    ],
)
def test_a_pattern_becomes_plain_letters_and_wildcards(pattern, wanted):
    assert condition(pattern, None) == wanted


def test_times_become_numbers_that_milvus_knows():
    begins, shown = "start >= 0.0 and start <= 1000000000.0", "start < 0.0 and end > 1000000000.0"
    assert condition(None, (0, float("inf"))).startswith(f"(({begins}) or ({shown})) and ")
    assert "nan" not in condition("*", (float("nan"), float("nan")))
    assert condition(None, None) == ""


@pytest.mark.parametrize(
    "address", ["photos.db", "milvus:", "milvus:photos", "chroma:x.db", "milvus:ftp://host", "milvus:http://#x"]
)
def test_wrong_addresses_are_one_line(address):
    with pytest.raises(ClipkitError, match=r"give milvus:FILE\.db or milvus:http://HOST:19530, and #NAME after it"):
        check_address(address)


def test_passwords_stay_out_of_addresses():
    with pytest.raises(ClipkitError, match="into MILVUS_TOKEN") as caught:
        check_address("milvus:https://me:secret@host:19530")
    assert "secret" not in str(caught.value)


def test_without_pymilvus_it_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    Image.new("RGB", (32, 32)).save(tmp_path / "a.png")
    assert cli.run("search", ["index", str(tmp_path), "--out", str(tmp_path / "i"), "--store", "milvus:a.db"]) == 2
    assert capsys.readouterr().err == (
        "error: pymilvus is not installed: pip install 'openclipkit[milvus]', or leave out --store\n"
    )


@slow
@needs_milvus
def test_the_answers_are_those_of_the_exact_search(index, tmp_path, monkeypatch):
    address = f"milvus:{tmp_path / 'rows.db'}"
    assert send(address, index) == (1200, 0)
    with closing(Milvus(address, index)) as milvus:
        queries = [ROWS[5], ROWS[905] + ROWS[17], -ROWS[1100]]
        filters = [
            {},
            {"paths": "*/odd/*"},
            {"between": (10, 20)},
            {"between": (10.1, 10.3)},
            {"between": (0, float("inf")), "paths": "/m/[!e]*"},
            {"paths": "/nowhere"},
            {"paths": '" or path like "%'},
            *({"paths": name} for name in ODD),
            *({"paths": name.replace(name[5], "?")} for name in ODD),
            *({"paths": f"*{character}*"} for character in "'\"%_\\\n[]{}é"),
        ]
        cases = [(query, options, answers(index, query, **options)) for query in queries for options in filters]
        with monkeypatch.context() as patch:
            patch.delattr(SearchIndex, "_ranked")  # it is Milvus that answers
            for query, options, exact in cases:
                assert answers(index, query, milvus, **options) == exact, options
        assert answers(index, ROWS[5], milvus, paths="*\\*")[0][0] == "/m/back\\slash.mp4"
        monkeypatch.setattr(module, "LIMIT", 100)  # beyond what Milvus answers at once the index goes on
        same = np.ones(16, np.float32)
        assert answers(index, same, milvus) == answers(index, same)


@slow
@needs_milvus
def test_only_what_is_new_is_sent_and_what_has_changed_is_deleted(index, tmp_path, monkeypatch):
    address = f"milvus:{tmp_path / 'rows.db'}#mine"
    entities, seen = Milvus._entities, []

    def fail(self, rows):
        seen.append(len(rows))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return entities(self, rows)

    monkeypatch.setattr(module, "BATCH", 350)
    monkeypatch.setattr(Milvus, "_entities", fail)
    with pytest.raises(KeyboardInterrupt):
        send(address, index)
    with (
        closing(Milvus(address, index)) as milvus,
        pytest.raises(ClipkitError, match=r"has not the rows of .*index as it is; send them again"),
    ):
        index.search(ROWS[0], milvus=milvus)
    assert send(address, index) == (900, 0)  # three files were there
    assert send(address, index) == (0, 0)
    index._write({"/m/even/0.mp4@2:2": film(300, 40), "/m/new.mp4@1:1": film(50, 10)})
    index._load()
    with closing(Milvus(address, index)) as milvus, pytest.raises(ClipkitError, match="send them again"):
        index.search(ROWS[0], milvus=milvus)
    with closing(Milvus(address, index)) as milvus:
        assert milvus.send() == (50, 1)
        for query in (ROWS[5], ROWS[55], ROWS[320]):
            assert answers(index, query, milvus) == answers(index, query)
        assert sum(milvus._there().values()) == len(index) == 1150


@slow
@needs_milvus
def test_rows_of_another_index_or_model_are_not_touched(index, tmp_path):
    address = f"milvus:{tmp_path / 'rows.db'}#rows"
    with pytest.raises(ClipkitError, match="no such collection; send it with"):
        Milvus(address, index)
    with pytest.raises(ClipkitError, match="empty: the index is empty"):
        Milvus(address, make_index(tmp_path / "empty", []), make=True)
    assert not (tmp_path / "rows.db").exists()
    send(address, index)
    other = make_index(tmp_path / "other", ["/m/even/0.mp4"], key="another model")
    with pytest.raises(ClipkitError, match="has the rows of another model, or of another rate; name another"):
        Milvus(address, other, make=True)
    less = make_index(tmp_path / "less", ["/m/even/0.mp4"])
    with pytest.raises(
        ClipkitError, match=r"has the rows of 11 files that are not in .*less, and which are not deleted"
    ):
        send(address, less)
    with closing(Milvus(address, less)) as milvus, pytest.raises(ClipkitError, match="has not the rows of"):
        less.search(ROWS[0], milvus=milvus)
    assert send(f"milvus:{tmp_path / 'rows.db'}", less) == (100, 0)
    with closing(Milvus(address, index)) as milvus:
        milvus._client.create_collection("strange", dimension=4)
        assert answers(index, ROWS[3], milvus) == answers(index, ROWS[3])
    with pytest.raises(ClipkitError, match="#strange: was not made by clipkit; name another collection with #NAME"):
        Milvus(address.replace("#rows", "#strange"), index, make=True)


@slow
@needs_milvus
def test_no_server_no_folder_and_a_file_in_use_are_one_line_without_the_token(index, tmp_path, monkeypatch):
    monkeypatch.setenv("MILVUS_TOKEN", "root:secret")
    (tmp_path / "text.db").write_text("no database")
    for place in ("http://127.0.0.1:1", "tcp://127.0.0.1:x", tmp_path / "none" / "rows.db", tmp_path / "text.db"):
        with pytest.raises(ClipkitError) as caught:
            Milvus(f"milvus:{place}", index, make=True)
        assert str(caught.value).startswith(f"milvus:{place}#index: ") and "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)
    send(f"milvus:{tmp_path / 'rows.db'}", index)
    with open(tmp_path / "rows.db/LOCK") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # as another process does
        with pytest.raises(ClipkitError, match="or another process has it open"):
            Milvus(f"milvus:{tmp_path / 'rows.db'}", index)


@slow
@needs_milvus
def test_as_commands(tmp_path, capsys):
    for number, colour in enumerate(("red", "lime", "blue", "white")):
        Image.new("RGB", (32, 32), colour).save(tmp_path / f"{number} it's {colour}.png")
    store, out = f"milvus:{tmp_path / 'rows.db'}", str(tmp_path / "photos")

    def run(*argv):
        code = cli.run("search", argv)
        return code, *capsys.readouterr()

    code, said, problems = run("index", str(tmp_path), "--out", out, "--clip", "tiny_clip", "--store", store)
    assert code == 0 and f"4 rows sent to {store}#photos" in said and "Traceback" not in problems
    ask = ("query", out, "red", "--json", "--path", "*it's*")
    code, said, problems = run(*ask, "--store", store)
    assert code == 0 and said == run(*ask)[1] and len(json.loads(said)) == 4 and problems == ""
    assert run(*ask, "--store", store, "--faiss")[2] == (
        "error: --store lets Milvus rank; leave out --approximate and --faiss\n"
    )
