"""Rows: what `clipkit embed` reads, archives, tables, lists; and what it writes."""

import io
import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from clipkit.data.samples import plan, read_part
from clipkit.embed.bulk import Embeddings
from clipkit.embed.npy_parquet import NpyParquet, Rows
from clipkit.store import Store
from fuzz.read_media import picture
from fuzz.table import Reader


def _png(number: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture(seed=number)[:8, :8]).save(file, "PNG")
    return file.getvalue()


def _archives(root: Path) -> None:
    for name, kind in (("pax", tarfile.PAX_FORMAT), ("gnu", tarfile.GNU_FORMAT), ("ustar", tarfile.USTAR_FORMAT)):
        (root / name).mkdir()
        with tarfile.open(root / name / "a.tar", "w", format=kind) as archive:
            for number, stem in enumerate(("000", "a/001", "b" * 60 + "/" + "c" * 80)):
                for suffix, data in ((".png", _png(number)), (".txt", b"a cat"), (".cls", b"3")):
                    member = tarfile.TarInfo(stem + suffix)
                    member.size = len(data)
                    archive.addfile(member, io.BytesIO(data))


def _tables(root: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    pictures = [_png(number) for number in range(5)]
    captions = ["a cat", None, "a dog", "", "a cat"]
    columns = {
        "bytes": {"jpg": pictures, "caption": captions, "key": list("abcde")},
        "faces": {"image": [{"bytes": data, "path": "a.png"} for data in pictures], "text": captions},
        "names": {"path": ["a.png", "../b.png", "c", None, "/etc/hostname"], "caption": captions},
    }
    for name, table in columns.items():
        (root / name).mkdir()
        write_table(pyarrow.table(table), root / name / "a.parquet", row_group_size=3)


def _lists(root: Path) -> None:
    lists = {
        "a.txt": "a.png\nsub/a.png\n",
        "a.csv": 'path,caption\na.png,"a, cat"\nsub/a.png,a dog\n',
        "a.tsv": "image\ttext\na.png\ta cat\n",
        "a.jsonl": '{"path": "a.png", "caption": "a cat"}\n{"file_name": "sub/a.png"}\n',
    }
    for name, text in lists.items():
        folder = root / name.replace(".", "_")
        (folder / "sub").mkdir(parents=True)
        (folder / name).write_text(text)
        for place in (folder, folder / "sub"):
            (place / "a.png").write_bytes(_png(1))


def _read(folder: Path) -> Any:
    """Every source in the folder, for pictures with captions and for texts."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix != ".png"]
    found = []
    for wanted in ("pairs", "texts"):
        for file in files or [folder / "gone"]:
            parts, _ = plan([str(file)], wanted)
            found += [str(thing).replace(str(folder), "") for part in parts for thing in read_part(part, wanted)]
    return found


def _rows() -> Rows:
    rows = Rows("pictures", 4, ["a.png", "b/ü.mp4"], [np.nan, 2.5])
    rows.pictures.append(np.sin(np.arange(8)).reshape(2, 4).astype(np.float16))
    return rows


def _embeddings(root: Path) -> None:
    store = Store(root / "out/embeddings", {"kind": "embeddings", "format": 1}, shard_size=1, batch_size=1)
    store.build(["a.tar@1", "b.tar@2"], lambda ids: [_rows().record() for _ in ids], progress=False)
    (root / "changed").mkdir()
    shutil.copytree(root / "out", root / "changed", dirs_exist_ok=True)
    (root / "changed/outdated.json").write_text(json.dumps({"parts": ["a.tar@1"]}))


def _read_embeddings(folder: Path) -> Any:
    return list(Embeddings(folder))


def _plans(root: Path) -> None:
    shelf = NpyParquet(str(root / "out"), {"kind": "embeddings", "nested": {"a": [1, None]}})
    shelf.plan(["a.tar@1", "b.tar@2"])[0].compute(lambda ids: [_rows()], lambda count: None)


def _go_on(folder: Path) -> Any:
    shelf = NpyParquet(str(folder), {"kind": "embeddings", "nested": {"a": [1, None]}})
    tasks = shelf.plan(["a.tar@1", "b.tar@2"])
    return [task.number for task in tasks], sorted(shelf.complete())


READERS = [
    Reader("archives of pictures", _archives, _read),
    Reader("Parquet of pictures", _tables, _read),
    Reader("lists of pictures", _lists, _read),
    Reader("stores of embeddings", _embeddings, _read_embeddings, checked=("out",)),
    Reader("plans of clip-retrieval's layout", _plans, _go_on),
]
