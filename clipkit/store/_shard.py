"""The shard file: a valid `.safetensors` file (any reader of that format opens it) that also knows when it is damaged.

Layout: 8 bytes of header length, a JSON header, then the arrays without gaps, wide types first, so that all are
aligned. With `N` records that have `M_0 … M_{N-1}` rows:

    index.offsets  (N + 1,) int64    record i is rows offsets[i] to offsets[i + 1] of every array
    index.crc32    (N,) uint32       over record i's bytes in all arrays, in the order of their names
    <name>         (sum M, …)        the caller's arrays

`__metadata__` says the format, the CRC of the ids and of the index, the digest of the store's key, and the CRC of the
header itself (taken with that field's digits set to 0). The bytes depend on the content alone.
"""

from __future__ import annotations

import json
import math
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from clipkit.store._files import StoreError, open_file

FORMAT = "clipkit-shard-1"
_TYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "|i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
_NAMES = {np.dtype(code): name for name, code in _TYPES.items()}
_NO_CRC = "00000000"
_META = ("key_sha256", "ids_crc32", "index_crc32")
Record = dict[str, np.ndarray]


def encode(ids: Sequence[str], records: Sequence[Mapping[str, Any]], key_digest: str) -> list[bytes | memoryview]:
    """Records -> the bytes of a shard, in pieces.

    Raises:
        ValueError: if a record's arrays differ in length, or from the first record in name, type or shape.
    """
    rows = [_as_record(identifier, record) for identifier, record in zip(ids, records)]
    first = rows[0]
    for identifier, row in zip(ids, rows):
        if {n: (a.dtype, a.shape[1:]) for n, a in row.items()} != {n: (a.dtype, a.shape[1:]) for n, a in first.items()}:
            raise ValueError(f"record {identifier!r} has {_describe(row)}, record {ids[0]!r} has {_describe(first)}")
    lengths = [len(next(iter(row.values()))) for row in rows]
    index = {
        "index.offsets": np.cumsum([0, *lengths], dtype="<i8"),
        "index.crc32": np.array([record_crc(row) for row in rows], dtype="<u4"),
    }
    arrays = {**index, **{name: np.concatenate([row[name] for row in rows]) for name in first}}
    header: dict[str, Any] = {
        "__metadata__": {
            "crc32": _NO_CRC,
            "format": FORMAT,
            "ids_crc32": crc_of_ids(ids),
            "index_crc32": f"{record_crc(index):08x}",
            "key_sha256": key_digest,
        }
    }
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    end = 0
    for name in order:
        begin, end = end, end + arrays[name].nbytes
        shape = list(arrays[name].shape)
        header[name] = {"dtype": _NAMES[arrays[name].dtype], "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    text = text.replace(_mark(_NO_CRC), _mark(f"{zlib.crc32(text):08x}"), 1)
    return [len(text).to_bytes(8, "little"), text, *(arrays[name].tobytes() for name in order)]


class Shard:
    """A complete shard, memory mapped. Its arrays are read-only views."""

    def __init__(self, path: Path, ids: Sequence[str], key_digest: str) -> None:
        self.path = path
        with os.fdopen(open_file(path), "rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise self._damaged("is empty")
            data: np.ndarray = np.asarray(np.memmap(file, dtype=np.uint8, mode="r"))
        size = int.from_bytes(data[:8].tobytes(), "little")
        text = data[8 : 8 + size].tobytes()
        if len(data) < 8 or len(text) != size:
            raise self._damaged("is cut off in its header")
        header = self._parse(text)
        meta = header.pop("__metadata__")
        wrong = _disagreement(meta, header, len(ids))
        if wrong:
            raise self._damaged(f"has a header that {wrong}")
        if meta["key_sha256"] != key_digest or meta["ids_crc32"] != crc_of_ids(ids):
            raise StoreError(f"{path}: belongs to another store; delete the file and build again")
        expected = 8 + size + max(entry["data_offsets"][1] for entry in header.values())
        if len(data) != expected:
            raise self._damaged(f"has {len(data)} bytes, expected {expected}")
        arrays = {}
        for name, entry in header.items():
            begin, end = (8 + size + offset for offset in entry["data_offsets"])
            arrays[name] = data[begin:end].view(_TYPES[entry["dtype"]]).reshape(entry["shape"])
        index = {name: arrays.pop(name) for name in ("index.offsets", "index.crc32")}
        if f"{record_crc(index):08x}" != meta["index_crc32"]:
            raise self._damaged("has a damaged index")
        self.arrays: Record = arrays
        self.offsets = index["index.offsets"]
        self._crc = index["index.crc32"]
        rows = {len(array) for array in arrays.values()}
        if self.offsets[0] != 0 or (np.diff(self.offsets) < 0).any() or rows != {int(self.offsets[-1])}:
            raise self._damaged("has an index that does not fit its arrays")

    def _parse(self, text: bytes) -> dict[str, Any]:
        # The header's own CRC first: whatever comes after may then trust it.
        start = text.find(b'"crc32":"') + len(b'"crc32":"')
        stated = text[start : start + 8]
        blank = text[:start] + _NO_CRC.encode() + text[start + 8 :]
        if stated != f"{zlib.crc32(blank):08x}".encode():
            raise self._damaged("has a damaged header")
        try:
            header = json.loads(text)
            found = header["__metadata__"]["format"]
        except (ValueError, RecursionError, KeyError, TypeError):
            raise self._damaged("has a header that is not one of a store") from None
        if found != FORMAT:
            raise StoreError(f"{self.path}: has format {str(found)[:40]}, this clipkit reads {FORMAT}")
        return header

    def record(self, row: int, identifier: str) -> Record:
        """Record number `row`, its checksum compared.

        Raises:
            StoreError: if its bytes are not what was written.
        """
        begin, end = self.offsets[row : row + 2].tolist()
        found = {name: array[begin:end] for name, array in self.arrays.items()}
        if record_crc(found) != self._crc[row]:
            raise self._damaged(f"has damaged bytes in record {identifier!r}")
        return found

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"{self.path}: {what}; delete this file and build again, only this shard is computed anew")


def _disagreement(meta: Any, header: Mapping[str, Any], records: int) -> str:
    """What contradicts in a header whose checksum is right: whoever wrote it can have computed that too; or ''."""
    if not isinstance(meta, dict) or not all(isinstance(meta.get(name), str) for name in _META):
        return f"lacks {', '.join(_META)}"
    for name, dtype, length in (("index.offsets", "I64", records + 1), ("index.crc32", "U32", records)):
        entry = header.get(name)
        if not isinstance(entry, dict) or entry.get("dtype") != dtype or entry.get("shape") != [length]:
            return f"describes no {name} of {records} records"
    if len(header) < 3:
        return "describes no arrays"
    for name, entry in header.items():
        if not isinstance(entry, dict) or str(entry.get("dtype")) not in _TYPES:
            return f"gives {name[:40]!r} no type of numbers"
        shape, span = entry.get("shape"), entry.get("data_offsets")
        if not _are_lengths(shape) or not _are_lengths(span):
            return f"gives {name[:40]!r} no shape or place"
        size = math.prod(shape) * np.dtype(_TYPES[entry["dtype"]]).itemsize
        if not shape or len(span) != 2 or span[1] - span[0] != size:
            return f"gives {name[:40]!r} a place of another size than its shape"
    return ""


def _are_lengths(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def crc_of_ids(ids: Sequence[str]) -> str:
    """8 hex digits."""
    return f"{zlib.crc32(json.dumps(list(ids)).encode()):08x}"


def record_crc(record: Mapping[str, np.ndarray]) -> int:
    """CRC-32 over the arrays' bytes in the order of their names."""
    crc = 0
    for name in sorted(record):
        if record[name].size:
            crc = zlib.crc32(record[name].data, crc)
    return crc


def _mark(digits: str) -> bytes:
    return f'"crc32":"{digits}"'.encode()


def _as_record(identifier: str, value: Any) -> Record:
    if not isinstance(value, Mapping):
        value = {"data": value}
        if np.ndim(value["data"]) < 2:
            raise ValueError(f"record {identifier!r} has shape {np.shape(value['data'])}, expected (M, D)")
    out: Record = {}
    for name, item in value.items():
        array = np.asarray(item)
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")) if array.ndim else array
        if array.ndim == 0 or array.dtype not in _NAMES:
            raise ValueError(
                f"record {identifier!r}: array {name!r} is {array.dtype} {array.shape}, expected (M, …) numbers"
            )
        if not isinstance(name, str) or name.startswith(("index.", "__")):
            raise ValueError(f"record {identifier!r}: {name!r} cannot be an array's name")
        out[name] = array
    if not out or len({len(array) for array in out.values()}) != 1:
        raise ValueError(f"record {identifier!r} has {_describe(out)}; its arrays must have equally many rows")
    return out


def _describe(record: Record) -> str:
    return ", ".join(f"{name} {array.dtype} {array.shape}" for name, array in record.items()) or "no arrays"
