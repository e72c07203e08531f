"""The layout of clip-retrieval (github.com/rom1504/clip-retrieval), which its tools and autofaiss read, on a disk or at
any address of fsspec (extra `parquet`). Of part `n` of the sources, `n` with as many digits as all need:

    img_emb/img_emb_n.npy           (M, D) float16 of unit length
    text_emb/text_emb_n.npy         (M, D) float16 of unit length
    metadata/metadata_n.parquet     M rows: image_path, caption, and time, the second of a film's frame

those that were wanted; and `plan.json`, which says what made them. A part is there when its metadata is, which is
written last.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.data import addresses
from clipkit.errors import ClipkitError, one_line
from clipkit.store import StoreError
from clipkit.store.share import Ahead, Compute, Tick, claim, refuse_other, sweep, write

FORMAT = 1


@dataclass
class Rows:
    """What a part of the sources gave, `M` rows.

    Attributes:
        wanted: of what, one of `clipkit.data.samples.WANTED`.
        width: D.
        names: of the pictures, films and texts; a film has a row for each frame.
        times: of a film's frame, seconds; NaN for a picture.
        pictures, texts: batches of `(B, D)` float16 of unit length; empty where they are not wanted.
        captions: the texts.
    """

    wanted: str
    width: int
    names: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    pictures: list[np.ndarray] = field(default_factory=list)
    texts: list[np.ndarray] = field(default_factory=list)

    def arrays(self) -> dict[str, np.ndarray]:
        """`embeddings` and `texts`, `(M, D)`, those that are wanted."""
        nothing = np.zeros((0, self.width), np.float16)
        both = {"embeddings": self.pictures, "texts": self.texts}
        left = {"pictures": "texts", "texts": "embeddings"}.get(self.wanted)
        return {name: np.concatenate([nothing, *rows]) for name, rows in both.items() if name != left}

    def record(self) -> dict[str, np.ndarray]:
        """For a store, see `clipkit.embed.bulk.Embeddings`."""
        names = [name.encode("utf-8", "replace") for name in self.names]
        longest = max(map(len, names), default=1)
        packed = np.frombuffer(b"".join(name.ljust(longest, b"\0") for name in names), np.uint8)
        return {"name": packed.reshape(-1, longest), "time": np.array(self.times, np.float64), **self.arrays()}


class NpyParquet:
    """A `clipkit.store.share.Shelf`.

    Args:
        out: its folder.
        key: what the numbers depend on, as a store's.

    Raises:
        ClipkitError: pyarrow is not installed.
    """

    def __init__(self, out: str, key: Mapping[str, Any]) -> None:
        try:
            import pyarrow.parquet  # noqa: F401 - told before hours of work
        except ModuleNotFoundError:
            raise ClipkitError('this layout needs the package pyarrow: pip install -e ".[parquet]"') from None
        self.out, self.key = out.rstrip("/"), dict(key)

    def plan(self, ids: Iterable[str]) -> list[NpyTask]:
        """Raises StoreError where the folder was made by something else, or of other parts."""
        wanted, place = list(ids), addresses.join(self.out, "plan.json")
        made = {"format": FORMAT, "key": self.key, "parts": wanted}
        if not addresses.exists(place):
            addresses.write(place, json.dumps(made, indent=1, sort_keys=True).encode())
        with addresses.reading(place) as file:
            try:
                found = json.loads(file.read())
                key, parts = dict(found["key"]), found["parts"]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise StoreError(f"{place}: is damaged ({one_line(error, 80)}); use another folder") from None
        refuse_other(self.out, {"format": found.get("format"), **key}, {"format": FORMAT, **self.key})
        if parts != wanted:
            raise StoreError(f"{self.out}: was made of other parts or files, or they have changed; use another folder")
        digits = int(math.log10(max(len(wanted), 1))) + 1
        return [NpyTask(number, [key], self.out, digits) for number, key in enumerate(wanted)]

    def complete(self) -> set[int]:
        """Numbers of the parts that are there."""
        folder = addresses.join(self.out, "metadata")
        files = addresses.find(folder) if addresses.exists(folder) else []
        found = (re.search(r"/metadata_(\d+)\.parquet$", address) for address, _ in files)
        return {int(match[1]) for match in found if match}

    def tidy(self) -> None:
        """Removes temporary files of killed processes."""
        if addresses.is_local(self.out):
            sweep(Path(self.out) / "metadata")


@dataclass(frozen=True)
class NpyTask:
    """A `clipkit.store.share.Task`: the files of one part. Where there are no locks of files, as in an object store, a
    part that two processes do at once is written twice, with the same bytes."""

    number: int
    ids: list[str]
    out: str
    digits: int

    def batches(self) -> list[list[str]]:
        return [self.ids]

    def compute(self, compute: Compute, tick: Tick, ahead: Ahead | None = None, following: Sequence[str] = ()) -> bool:
        last = self._address("metadata", ".parquet")
        if not addresses.is_local(self.out):
            if addresses.exists(last):
                return False
            addresses.write(last, self._write(*compute(self.ids)))
        else:
            Path(last).parent.mkdir(parents=True, exist_ok=True)
            with claim(Path(last)) as fd:
                if fd is None:
                    return False
                write(fd, Path(last), [self._write(*compute(self.ids))], 10**self.digits)
        tick(1)
        return True

    def _write(self, rows: Rows) -> bytes:
        """Writes the arrays; returns the metadata."""
        import pyarrow
        from pyarrow.parquet import write_table

        for name, array in rows.arrays().items():
            file = io.BytesIO()
            np.save(file, array)
            addresses.write(
                self._address({"embeddings": "img_emb", "texts": "text_emb"}[name], ".npy"), file.getbuffer()
            )
        columns = {"image_path": rows.names} if rows.wanted != "texts" else {}
        if rows.wanted != "pictures":
            columns["caption"] = rows.captions
        table = pyarrow.table(
            {
                **{name: pyarrow.array(texts, pyarrow.string()) for name, texts in columns.items()},
                "time": pyarrow.array(rows.times, pyarrow.float64(), from_pandas=True),  # NaN is null
            }
        )
        file = io.BytesIO()
        write_table(table, file)
        return file.getvalue()

    def _address(self, kind: str, suffix: str) -> str:
        return addresses.join(self.out, f"{kind}/{kind}_{self.number:0{self.digits}d}{suffix}")
