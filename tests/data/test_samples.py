"""Pictures, films and texts from archives, tables, lists, folders: all is read or named, nothing leads out."""

import io
import json
import tarfile
import tracemalloc

import pytest
from PIL import Image

from clipkit.data import _list_samples, _sample, _tar_samples, addresses, samples
from clipkit.data.samples import Sample, Skipped, plan, read_part
from clipkit.errors import ClipkitError


def png(shade=0):
    file = io.BytesIO()
    Image.new("L", (2, 2), shade).save(file, "PNG")
    return file.getvalue()


def write_tar(path, members, format=tarfile.PAX_FORMAT):
    """`members`: (name, bytes), or a TarInfo."""
    with tarfile.open(path, "w", format=format) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            about = tarfile.TarInfo(member[0])
            about.size = len(member[1])
            archive.addfile(about, io.BytesIO(member[1]))
    return path


def read(source, wanted="pictures", root=None):
    """All samples, and what was skipped, as {name: why}."""
    parts, _ = plan([str(source)], wanted, root and str(root))
    found = [thing for part in parts for thing in read_part(part, wanted)]
    good = [thing for thing in found if isinstance(thing, Sample)]
    return good, {thing.name: thing.why for thing in found if isinstance(thing, Skipped)}


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_an_archive_gives_what_tarfile_gives(tmp_path, format):
    long = "a/" + "é" * 40 + "/" + "b" * 80  # longer than a header holds
    members = [
        (f"{stem}{suffix}", data) for stem in ("a/000", long) for suffix, data in ((".png", png()), (".txt", b"c"))
    ]
    good, skipped = read(write_tar(tmp_path / "a.tar", members, format), "pairs")
    assert good == [Sample("a/000", png(), None, "c"), Sample(long, png(), None, "c")] and not skipped
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert [name for name, _ in members] == archive.getnames()


def test_hostile_members_are_named_and_not_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(_tar_samples, "MOST", 1000)
    link, pipe = tarfile.TarInfo("link.png"), tarfile.TarInfo("pipe.png")
    link.type, link.linkname, pipe.type = tarfile.SYMTYPE, "/etc/hostname", tarfile.FIFOTYPE
    code = [(f"000.{ending}", b"\x80\x04cos\nsystem\n.") for ending in ("pyd", "pkl", "pth", "cls")]
    members = [
        ("../up.png", png()),
        ("/top.png", png()),
        ("a\\..\\b.png", png()),
        link,
        pipe,
        ("000.png", png()),
        *code,
    ]
    members += [("000.png", png(9)), ("001.png", b"\0" * 1001), ("002.txt", b"no picture")]
    good, skipped = read(write_tar(tmp_path / "a.tar", members))
    assert good == [Sample("000", png())]
    assert {name for name in skipped if "not read" in skipped[name]} == {"*.pyd", "*.pkl", "*.pth", "*.cls", "*.txt"}
    assert [skipped[name] for name in ("../up.png", "/top.png", "a\\..\\b.png")] == ["leads out of its archive"] * 3
    assert skipped["link.png"] == "is a link" and skipped["pipe.png"] == "is a pipe"
    assert skipped["000.png"] == "its name comes twice" and skipped["001.png"] == "has more than 1,000 bytes"
    assert skipped["002"] == "no picture or film"


@pytest.mark.parametrize(("cut", "left"), [(200, 0), (2000, 2), (2600, 2), (4096, 4)])
def test_of_a_broken_archive_what_comes_before_is_kept(tmp_path, cut, left):
    data = write_tar(tmp_path / "a.tar", [(f"{i}.png", png(i)) for i in range(4)]).read_bytes()
    (tmp_path / "a.tar").write_bytes(data[:cut])
    good, skipped = read(tmp_path / "a.tar")
    assert len(good) == left and "the rest of the archive" in skipped
    (tmp_path / "a.tar").write_bytes(data[:1024] + b"x" + data[1025:])
    good, skipped = read(tmp_path / "a.tar")
    assert [sample.name for sample in good] == ["0"]
    assert skipped["the rest of the archive"] == "no header of a tar archive at byte 1024"


def test_a_header_that_claims_gigabytes_takes_no_memory(tmp_path):
    about = tarfile.TarInfo("x")
    about.type, about.size = tarfile.GNUTYPE_LONGNAME, 60 << 20
    with (tmp_path / "a.tar").open("wb") as file:
        file.write(about.tobuf(tarfile.GNU_FORMAT))
        file.truncate(61 << 20)
    tracemalloc.start()
    _, skipped = read(tmp_path / "a.tar")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()
    assert "a header of 62914560 bytes" in skipped["the rest of the archive"]


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    for number in range(3):
        (tmp_path / f"in/sub/{number}.png").write_bytes(png(number))
    (tmp_path / "in/sub/0.txt").write_text(" a cat \n")
    (tmp_path / "secret.png").write_bytes(png(99))
    return tmp_path / "in"


def test_a_folder_with_captions_beside(photos):
    good, skipped = read(photos, "pairs")
    assert good == [Sample("sub/0.png", png(0), None, "a cat")]
    assert skipped == {"sub/1.png": "no text", "sub/2.png": "no text"}
    assert [sample.name for sample in read(photos)[0]] == [f"sub/{i}.png" for i in range(3)]
    assert read(photos, "texts")[0] == [Sample("sub/0.txt", text="a cat")]
    odd = photos.rename(photos.parent / "in [2020]")  # no pattern, where it exists
    assert [sample.name for sample in read(odd)[0]] == [f"sub/{i}.png" for i in range(3)]
    assert [sample.name for sample in read(odd.parent / "in*/sub/[01].png")[0]] == [
        f"in [2020]/sub/{i}.png" for i in (0, 1)
    ]
    odd.rename(photos)
    (photos / "notes.pkl").write_bytes(b"x")
    assert plan([str(photos)])[1] == {".pkl": 1, ".txt": 1}


LISTS = {
    "l.txt": "sub/0.png\n\n../secret.png\nsub/gone.png\n{top}/sub/1.png\n/etc/hostname\nhttp://h/x.png\n",
    "l.csv": 'path,caption\nsub/0.png,"a, b"\n../secret.png,x\nsub/gone.png,x\n{top}/sub/1.png,c\n/etc/hostname,x\n'
    "http://h/x.png,x\ntoo,many,values\n",
    "l.jsonl": '{{"path": "sub/0.png", "caption": "a, b"}}\n{{"path": "../secret.png"}}\n{{"path": "sub/gone.png"}}\n'
    '{{"path": "{top}/sub/1.png"}}\n{{"path": "/etc/hostname"}}\n{{"path": "http://h/x.png"}}\n[1]\n'
    '{{"path": 3}}\nno json\n',
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_lists_lead_nowhere_else_and_every_bad_line_is_named(photos, name):
    (photos / name).write_text(LISTS[name].format(top=photos))
    good, skipped = read(photos / name)
    assert [sample.picture for sample in good] == [png(0), png(1)]
    outside = ["../secret.png", "/etc/hostname", "http://h/x.png"]
    assert all(skipped[key].startswith(f"lies outside {photos}") for key in outside)
    assert skipped["sub/gone.png"] == "No such file or directory"
    lines = {"l.csv": ["line 8"], "l.jsonl": ["line 7", "line 8", "line 9"]}.get(name, [])
    assert set(skipped) == {*outside, "sub/gone.png", *lines}
    assert len(read(photos / name, root=photos.parent)[0]) == 1  # another root: names count from there


def test_a_list_is_cut_into_blocks_of_lines(photos, monkeypatch):
    monkeypatch.setattr(_list_samples, "PICTURES", 2)
    monkeypatch.setattr(_list_samples, "LINE", 64)
    lines = ["sub/0.png", "sub/1.png", "x" * 200, "sub/2.png", "sub/0.png"]
    (photos / "l.txt").write_text("\n".join(lines))
    parts, _ = plan([str(photos / "l.txt")])
    found = [thing for part in parts for thing in read_part(part, "pictures")]
    assert [thing.name for thing in found if isinstance(thing, Sample)] == [name for name in lines if len(name) < 64]
    assert any("has more than 64 bytes" in thing.why for thing in found if isinstance(thing, Skipped))
    before = {part.id for part in parts}
    (photos / "l.txt").write_text("\n".join([*lines[:-1], "sub/1.png"]))
    assert len(before & {part.id for part in plan([str(photos / "l.txt")])[0]}) == len(parts) - 1


def test_lists_of_windows_and_a_first_line_that_is_no_table(photos):
    (photos / "l.csv").write_bytes(b"path,caption\r\nsub\\0.png,x\r\n..\\secret.png,x\r\n")
    good, skipped = read(photos / "l.csv")
    assert [sample.picture for sample in good] == [png(0)] and set(skipped) == {"..\\secret.png"}
    for line in (b'"path,caption\nx,y\n', b"path," + b"x" * 200_000 + b"\n"):
        (photos / "l.csv").write_bytes(line)
        with pytest.raises(ClipkitError, match="its first line, which names the columns, cannot be read"):
            read(photos / "l.csv")


def test_a_part_is_another_one_when_what_it_reads_changes(photos):
    def ids(wanted="pairs", **options):
        return [part.id for part in plan([str(photos), str(photos / "l.txt")], wanted, **options)[0]]

    (photos / "l.txt").write_text("0.png\n")
    (photos / "sub/a#b.png").write_bytes(png())
    before = ids()
    assert before == ids() and before != ids(root=str(photos / "sub"))
    (photos / "out").mkdir()
    (photos / "out/metadata_0.parquet").write_bytes(b"x")
    assert before == ids(out=str(photos / "out"))
    (photos / "sub/0.txt").write_text(" a dog \n")  # as long
    after = ids(out=str(photos / "out"))
    assert after[0] != before[0] and after[1] == before[1]
    assert after[0].rpartition("@")[0].rpartition("#")[0] == str(photos)


def test_links_that_lead_nowhere_are_named(photos):
    (photos / "sub/x.png").symlink_to("x.png")
    (photos / "y.png").symlink_to("gone.png")
    good, skipped = read(photos)
    assert len(good) == 3 and skipped == {
        "sub/x.png": "Too many levels of symbolic links", "y.png": "No such file or directory",
    }  # fmt: skip
    (photos / "l.txt").write_text("sub/x.png\n" + "a/" * 3000 + "\n")
    assert [why for why in read(photos / "l.txt")[1].values()] == [skipped["sub/x.png"], "File name too long"]


def test_members_of_no_sample_part_none(tmp_path):
    """macOS writes `._000.jpg` before `000.jpg`."""
    members = [("./._0.png", b"x"), ("./0.png", png()), ("./._0.txt", b"x"), ("./0.txt", b"\xef\xbb\xbfa cat")]
    good, skipped = read(write_tar(tmp_path / "a.tar", [*members, ("__key__", b"x")]), "pairs")
    assert good == [Sample("./0", png(), None, "a cat")] and set(skipped) == {".*", "*"}
    good, skipped = read(write_tar(tmp_path / "b.tar", [("0.png", png()), ("0.txt", b"caf\xe9")]), "pairs")
    assert not good and skipped == {"0.txt": "its caption is no UTF-8", "0": "no text"}
    good, skipped = read(write_tar(tmp_path / "c.tar", [("0.mp4", b"x"), ("0.png", png())]))
    assert good[0].film and not good[0].picture and skipped == {"0": "its picture is not read beside its film"}


def test_texts_alone(photos):
    (photos / "l.txt").write_text("a cat\na dog\n")
    assert [sample.text for sample in read(photos / "l.txt", "texts")[0]] == ["a cat", "a dog"]


def test_names_lead_out_of_no_address():
    assert addresses.below("s3://bucket/a", "b/c.png") == "s3://bucket/a/b/c.png"
    assert addresses.below("s3://bucket/a", "s3://bucket/a/c.png") == "s3://bucket/a/c.png"
    for name in ("../c.png", "/etc/passwd", "s3://other/c.png", "zip://x::b.zip", "a\0b", "", "x" * 300, "a\\..\\b"):
        assert addresses.below("s3://bucket/a", name) is None


def test_any_address_of_fsspec(tmp_path):
    data = write_tar(tmp_path / "a.tar", [("0.png", png())]).read_bytes()
    addresses.write("memory://samples/deep/a.tar", data)
    addresses.write("memory://samples/photos/b.png", png(1))
    for source in ("memory://samples", "memory://samples/*/*"):
        assert [sample.picture for sample in read(source)[0]] == [png(), png(1)]
    with pytest.raises(FileNotFoundError, match=r"memory:///?nowhere: no such"):
        plan(["memory://nowhere"])
    with pytest.raises(ClipkitError, match=r"^nothing://x: cannot be reached \(Protocol not known"):
        plan(["nothing://x"])


def test_what_holds_nothing_is_one_line(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"x")
    with pytest.raises(ClipkitError, match=r"holds no pictures \(1 \.pkl\)"):
        plan([str(tmp_path)])
    (tmp_path / "l.csv").write_text("odd,columns\n1,2\n")
    with pytest.raises(ClipkitError, match="its first line names odd, columns, and none of the columns image"):
        plan([str(tmp_path / "l.csv")])


# -- Parquet ----------------------------------------------------------------------------------------------------------


def table(path, columns, **options):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow.parquet import write_table

    write_table(pyarrow.table(columns), path, **options)
    return path


def test_parquet_in_its_usual_forms(photos):
    rows = [png(0), None, png(2)]
    texts = ["a", "b", None]
    file = table(photos / "a.parquet", {"jpg": rows, "caption": texts, "key": ["x", "y", "z"]}, row_group_size=2)
    assert len(plan([str(file)])[0]) == 2
    good, skipped = read(file, "pairs")
    assert good == [Sample("x", png(0), None, "a")] and skipped == {"y": "no picture or film", "z": "no text"}
    faces = table(photos / "b.parquet", {"image": [{"bytes": row, "path": "/etc/hostname"} for row in rows]})
    assert [sample.picture for sample in read(faces)[0]] == [png(0), png(2)]
    names = table(photos / "c.parquet", {"path": ["sub/1.png", "../secret.png", "/etc/hostname"]})
    good, skipped = read(names)
    assert [sample.picture for sample in good] == [png(1)] and len(skipped) == 2


def test_odd_and_broken_parquet_is_named(tmp_path):
    for columns in ({"x": [1]}, {"image": [1, 2]}, {"image": [[b"x"]]}):
        good, skipped = read(table(tmp_path / "a.parquet", columns))
        assert not good and skipped
    data = table(tmp_path / "a.parquet", {"image": [png(i) for i in range(50)]}).read_bytes()
    for broken in (data[:-9], data[: len(data) // 2], b"PAR1" + b"\xff" * 100 + b"PAR1"):
        (tmp_path / "a.parquet").write_bytes(broken)
        good, skipped = read(tmp_path / "a.parquet")
        assert not good and all("damaged" in why for why in skipped.values()) and skipped


def test_parquet_that_repeats_one_row_a_million_times_is_refused(tmp_path):
    file = table(tmp_path / "a.parquet", {"image": [b"\0" * (1 << 20)] * 300}, use_dictionary=False, compression="zstd")
    assert file.stat().st_size < 1 << 20
    good, skipped = read(file)
    assert not good and "would grow to 300 MiB" in skipped["group 0"]


def test_a_part_is_plain_values(photos):
    part = plan([str(photos)])[0][0]
    assert json.loads(json.dumps(vars(part)))["place"] == list(part.place)
    assert samples.WANTED == _sample.WANTED
