"""Damage that knows a format and leaves its lengths and checksums right, so that what lies behind them is reached."""

import ast
import io
import json
import pickletools
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

from fuzz.mutate import NUMBERS, WORDS, Mutator, change, json_, json_lines, json_value, lines, raw

# -- zip, NumPy, pickle -----------------------------------------------------------------------------------------------


@cache
def _zeros() -> bytes:
    return bytes(300 << 20)


def zip_members(data: bytes, rng: Random) -> bytes:
    """A member changed, lost, doubled, renamed, deflated, or one more that inflates; CRCs are computed anew."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info.filename, archive.read(info), zipfile.ZIP_STORED) for info in archive.infolist()]
    except Exception:  # damaged by the mutation before
        return raw(data, rng)
    if not members:
        return raw(data, rng)
    at = rng.randrange(len(members))
    name, content, _ = members[at]
    match rng.randrange(10):
        case 0:
            del members[at]
        case 1:
            members.insert(at, members[at])
        case 2:
            members[at] = (rng.choice(WORDS[1:]).replace("\ud800", "x"), content, zipfile.ZIP_STORED)
        case 3:
            members[at] = (name, content, zipfile.ZIP_DEFLATED)
        case 4 if rng.random() < 0.1:
            members[at] = (name, content + _zeros(), zipfile.ZIP_DEFLATED)
        case _:
            members[at] = (name, damage(content, name, rng), zipfile.ZIP_STORED)
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # a name twice is meant
        for name, content, kind in members:
            archive.writestr(name, content, kind)
    return out.getvalue()


def npy(data: bytes, rng: Random) -> bytes:
    """An array's header with another type, order or shape; its length is right."""
    try:
        length = struct.unpack_from("<H", data, 8)[0]
        header, body = ast.literal_eval(data[10 : 10 + length].decode()), data[10 + length :]
    except (struct.error, ValueError, SyntaxError):
        return raw(data, rng)
    types = (
        "<f2",
        "<f4",
        ">f8",
        "<i8",
        "|u1",
        "|b1",
        "<c8",
        "|O",
        "<U0",
        "<U9",
        "|S3",
        "|V4",
        "<M8[ns]",
        "x",
        "",
        "<f99999",
    )
    match rng.randrange(6):
        case 0:
            header["shape"] = tuple(rng.choice((*NUMBERS, -1, 3)) for _ in range(rng.choice((0, 1, 2, 3, 40))))
        case 1:
            header["descr"] = rng.choice((*types, [("a", "<f4")], [("a", "|O")], None, 3))
        case 2:
            header["fortran_order"] = rng.choice((True, 3, None, "x"))
        case 3:
            header = change(header, rng)
        case 4:
            header["shape"] = tuple(reversed(header["shape"]))
        case 5:
            body = rng.choice((body[:-1], body + body, rng.randbytes(len(body)), b"\xff" * len(body)))  # NaN too
    text = repr(header).encode("utf-8", "replace")
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return (
        b"\x93NUMPY"
        + rng.choice((b"\1\0", b"\1\0", b"\1\0", b"\3\0"))
        + struct.pack("<H", len(text) & 0xFFFF)
        + text
        + body
    )


_GLOBALS = (
    b"cbuiltins\nbytearray\n", b"ctorch\nTensor\n", b"ctorch\nFloatStorage\n", b"ctorch._utils\n_rebuild_tensor_v2\n",
    b"ccollections\nOrderedDict\n", b"cos\ngetpid\n", b"cbuiltins\nlist\n", b"ctorch\nSize\n", b"cnumpy\nndarray\n",
)  # fmt: skip


def pickle_(data: bytes, rng: Random) -> bytes:
    """An operation changed, lost, doubled or moved; whole operations all."""
    try:
        places = [place for _, _, place in pickletools.genops(data) if place is not None]
    except Exception:  # damaged by the mutation before
        return raw(data, rng)
    ends = [*places[1:], len(data)]
    operations = [data[a:b] for a, b in zip(places, ends)]
    at, other = rng.randrange(len(operations)), rng.randrange(len(operations))
    long = struct.pack("<I", rng.choice(NUMBERS) & 0xFFFFFFFF)
    match rng.randrange(7):
        case 0:
            del operations[at]
        case 1:
            operations.insert(other, operations[at])
        case 2:
            operations[at], operations[other] = operations[other], operations[at]
        case 3:
            operations[at] = rng.choice(_GLOBALS)
        case 4:
            operations[at] = rng.choice(
                (b"J" + long, b"r" + long, b"j" + long, b"N", b"}", b"]", b")", b"G" + 8 * b"\x7f")
            )
        case 5:
            whole = [i for i, op in enumerate(operations) if op[:1] in b"KMJ"]
            operations[rng.choice(whole) if whole else at] = b"J" + long
        case 6:
            operations[at] = rng.choice((b"0", b"t", b"R", b"(", b"1", b"Q", b"s", b"u", b"b", b"\x81", b"\x93"))
    return b"".join(operations)


# -- tensors ----------------------------------------------------------------------------------------------------------


def _other_tensor(old: Any, rng: Random) -> Any:
    import torch

    if not isinstance(old, torch.Tensor) or rng.random() < 0.15:
        return json_value(old, rng)
    floats = old.to(torch.float32)
    others: tuple[Callable[[], Any], ...] = (
        *(lambda: old.double(), lambda: old.half(), lambda: old.to(torch.int64), lambda: old.bool(), lambda: old[None]),
        *(
            lambda: old.to(torch.complex64),
            lambda: floats.to(torch.bfloat16),
            lambda: old.to("meta"),
            lambda: old.tolist(),
        ),
        *(
            lambda: old.flatten(),
            lambda: old.flatten()[:-1],
            lambda: old.flatten()[:0],
            lambda: old.flatten().repeat(3),
        ),
        *(lambda: old.T if old.ndim == 2 else old[..., None], lambda: floats * torch.nan, lambda: floats / 0),
        *(lambda: torch.zeros(1).expand(1 << 33), lambda: torch.zeros(()), lambda: torch.zeros(*[1] * 40)),
        lambda: torch.sparse_coo_tensor([[0]], [1.0], (1 << 20,)),
    )
    return rng.choice(others)()


def torch_tree(data: bytes, rng: Random) -> bytes:
    """What `torch.save` wrote, with other keys, types, shapes and numbers in it, written by `torch.save`."""
    import torch

    try:
        tree = torch.load(io.BytesIO(data), weights_only=True, map_location="cpu")
    except Exception:  # damaged by the mutation before, or a program
        return zip_members(data, rng) if data[:2] == b"PK" else pickle_(data, rng)
    for _ in range(rng.choice((1, 1, 2, 3))):
        tree = change(tree, rng, _other_tensor)
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save(tree, out, _use_new_zipfile_serialization=data[:2] == b"PK")
    return out.getvalue()


def safetensors(data: bytes, rng: Random) -> bytes:
    """A header with other entries, types, shapes and places; its length is right."""
    length = int.from_bytes(data[:8], "little")
    body = data[8 + length :]
    if rng.random() < 0.2 and body:
        return data[: 8 + length] + rng.choice((body[:-4], body + bytes(4), b"\xff" * len(body), bytes(len(body))))
    header = json_(data[8 : 8 + length], rng)
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + body


def shard(data: bytes, rng: Random) -> bytes:
    """A shard of a clipkit store with other entries, offsets or records, and every checksum of it as it should be."""
    length = int.from_bytes(data[:8], "little")
    try:
        header, body = json.loads(data[8 : 8 + length]), bytearray(data[8 + length :])
        if rng.random() < 0.5:
            begin, end = header[rng.choice(("index.offsets", "index.crc32"))]["data_offsets"]
            body[begin:end] = set_within(bytes(body[begin:end]), rng)
            crc = 0
            for name in ("index.crc32", "index.offsets"):
                begin, end = header[name]["data_offsets"]
                crc = zlib.crc32(body[begin:end], crc)
            header["__metadata__"]["index_crc32"] = f"{crc:08x}"
        else:
            header = change(header, rng)
        header["__metadata__"]["crc32"] = "00000000"
        text = json.dumps(header, separators=(",", ":")).encode()
    except (ValueError, KeyError, TypeError):  # damaged by the mutation before, or beyond repair now
        return raw(data, rng)
    text += b" " * (-(len(text) + 8) % 64)
    text = text.replace(b'"crc32":"00000000"', f'"crc32":"{zlib.crc32(text):08x}"'.encode(), 1)
    return len(text).to_bytes(8, "little") + text + bytes(body)


def set_within(data: bytes, rng: Random) -> bytes:
    """Other numbers of 8 bytes; as many."""
    at = rng.randrange(max(1, len(data) // 8)) * 8
    return (data[:at] + struct.pack("<Q", rng.choice(NUMBERS)) + data[at + 8 :])[: len(data)]


# -- pictures and films -----------------------------------------------------------------------------------------------


@cache
def _more_chunks() -> tuple[tuple[bytes, bytes], ...]:
    inflates = (b"zTXt", b"k\0\0" + zlib.compress(bytes(64 << 20))), (b"IDAT", zlib.compress(bytes(1 << 20)))
    damaged = (b"eXIf", b"II*\0\x08\0\0\0\xff\xff"), (b"acTL", b"\xff" * 8), (b"tRNS", b"\0"), (b"iCCP", b"k\0\0x")
    return (*inflates, *damaged, (b"PLTE", b"abc"))


def png(data: bytes, rng: Random) -> bytes:
    """A chunk changed, lost, doubled, moved, or one more; CRCs are computed anew."""
    chunks, place = [], 8
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append([data[place + 4 : place + 8], data[place + 8 : place + 8 + length]])
        place += 12 + length
    if not chunks:
        return raw(data, rng)
    at, other = rng.randrange(len(chunks)), rng.randrange(len(chunks))
    match rng.randrange(7):
        case 0:
            del chunks[at]
        case 1:
            chunks.insert(other, chunks[at])
        case 2:
            chunks[at], chunks[other] = chunks[other], chunks[at]
        case 3:
            chunks.insert(max(1, at), list(rng.choice(_more_chunks())))
        case 4:
            head = chunks[0][1]
            where, size = rng.choice(((0, 4), (4, 4), (8, 1), (9, 1), (12, 1)))
            number = (rng.choice(NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "big")
            chunks[0][1] = head[:where] + number + head[where + size :]
        case 5 if chunks[at][0] == b"IDAT":
            try:
                chunks[at][1] = zlib.compress(raw(zlib.decompress(chunks[at][1]), rng))
            except zlib.error:
                chunks[at][1] = raw(chunks[at][1], rng)
        case _:
            chunks[at][1] = raw(chunks[at][1], rng)
    return data[:8] + b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )


def jpeg(data: bytes, rng: Random) -> bytes:
    """A segment changed, lost or doubled, with its length right; or other sides."""
    parts, place = [], 2
    while data[place : place + 1] == b"\xff" and data[place + 1 : place + 2] != b"\xda":
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        parts.append([data[place : place + 2], data[place + 4 : place + 2 + length]])
        place += 2 + length
    if not parts:
        return raw(data, rng)
    at = rng.randrange(len(parts))
    frame = next((part for part in parts if part[0] in (b"\xff\xc0", b"\xff\xc2")), None)
    match rng.randrange(4):
        case 0:
            del parts[at]
        case 1:
            parts.insert(at, parts[at])
        case 2 if frame:
            where = rng.choice((0, 1, 3, 5))
            frame[1] = frame[1][:where] + rng.choice((b"\0\0", b"\xff\xff", b"\0\1", b"\4\0")) + frame[1][where + 2 :]
        case _:
            parts[at][1] = raw(parts[at][1], rng)
    segments = [mark + struct.pack(">H", (len(body) + 2) & 0xFFFF) + body for mark, body in parts]
    return data[:2] + b"".join(segments) + data[place:]


def _chunked(data: bytes, rng: Random, start: int, order: str, wide: bool) -> bytes:
    """RIFF's and MP4's parts, which lie in one another: one changed, lost or doubled, all lengths right."""
    parts, place = [], start
    while place + 8 <= len(data):
        first, second = data[place : place + 4], data[place + 4 : place + 8]
        length = int.from_bytes(first if wide else second, order) - (8 if wide else 0)  # type: ignore[arg-type]
        if length < 0 or place + 8 + length > len(data):
            break
        body = data[place + 8 : place + 8 + length]
        parts.append([second if wide else first, body])
        place += 8 + length + (0 if wide else length % 2)
    if not parts:
        return raw(data, rng)
    at = rng.randrange(len(parts))
    kind, body = parts[at]
    match rng.randrange(8):
        case 0:
            del parts[at]
        case 1:
            parts.insert(at, parts[at])
        case _ if wide and kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"udta"):
            parts[at][1] = _chunked(body, rng, 0, order, wide)
        case _ if not wide and kind == b"LIST":
            parts[at][1] = body[:4] + _chunked(body[4:], rng, 0, order, wide)
        case _:
            parts[at][1] = raw(body, rng)
    out = data[:start]
    for kind, body in parts:
        size = (len(body) + 8 * wide).to_bytes(4, order)  # type: ignore[arg-type]
        out += (size + kind if wide else kind + size) + body + (b"" if wide else bytes(len(body) % 2))
    return out


def riff(data: bytes, rng: Random) -> bytes:
    """WebP and AVI."""
    out = _chunked(data, rng, 12, "little", False)
    return out[:4] + struct.pack("<I", max(0, len(out) - 8)) + out[8:]


def boxes(data: bytes, rng: Random) -> bytes:
    """MP4 and MOV."""
    return _chunked(data, rng, 0, "big", True)


def tiff(data: bytes, rng: Random) -> bytes:
    """An entry of the first directory with another tag, type, count or value."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        (place,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, place)
        entry = place + 2 + 12 * rng.randrange(max(1, count))
        where, form = rng.choice(((0, "H"), (2, "H"), (4, "I"), (8, "I")))
        mask = 0xFFFF if form == "H" else 0xFFFFFFFF
        number = struct.pack(order + form, rng.choice((*NUMBERS, 256, 257, 258, 259, 277, 278)) & mask)
        return data[: entry + where] + number + data[entry + where + len(number) :]
    except struct.error:
        return raw(data, rng)


def tar(data: bytes, rng: Random) -> bytes:
    """A member's header with other bytes in one field; its checksum is computed anew."""
    headers = [at for at in range(0, len(data) - 511, 512) if data[at + 257 : at + 262] == b"ustar"]
    if not headers:
        return raw(data, rng)
    at = rng.choice(headers)
    header = bytearray(data[at : at + 512])
    field, width = rng.choice(((0, 100), (100, 8), (124, 12), (124, 12), (136, 12), (156, 1), (157, 100), (345, 155)))
    words = (
        b"0" * width,
        b"7" * width,
        b"\xff" * width,
        b"\x80" + bytes(width - 1),
        b"../../a.txt",
        b"12",
        b"L",
        b"x",
        b"g",
        b"2",
    )
    word = rng.choice(words)[:width]
    header[field : field + width] = word.ljust(width, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return data[:at] + bytes(header) + data[at + 512 :]


# -- which of them ----------------------------------------------------------------------------------------------------


def structured(data: bytes, name: str) -> Mutator:
    """The mutator that knows what a file is: by its start, and text by its name. A new format adds its line here."""
    text = json_lines if name.endswith(".jsonl") else json_ if name.endswith(".json") or data[:1] in b"{[" else lines
    starts: tuple[tuple[bytes, Mutator], ...] = (
        (b"PK\3\4", zip_members), (b"\x93NUMPY", npy), (b"\x80", pickle_), (b"\x89PNG", png), (b"\xff\xd8", jpeg),
        (b"RIFF", riff), (b"II*\0", tiff), (b"MM\0*", tiff),
    )  # fmt: skip
    for start, mutator in starts:
        if data.startswith(start):
            return mutator
    if data[4:8] == b"ftyp":
        return boxes
    if data[257:262] == b"ustar":
        return tar
    if data[8:9] == b"{" and int.from_bytes(data[:8], "little") < len(data):
        return shard if b"clipkit-shard" in data[:4096] else safetensors
    return raw if b"\0" in data[:512] else text


def damage(data: bytes, name: str, rng: Random) -> bytes:
    """What `structured` does, for torch's files also to the tree inside; sometimes the bytes alone."""
    if not data or rng.random() < 0.15:
        return raw(data, rng)
    mutator = structured(data, name)
    if (mutator is zip_members and b"data.pkl" in data) or (mutator is pickle_ and b"torch" in data):
        mutator = rng.choice((mutator, torch_tree))
    if mutator is shard and rng.random() < 0.3:
        mutator = safetensors
    try:
        return mutator(data, rng)
    except Exception:  # lists without end, or a tensor of gigabytes, by the mutation before
        return raw(data, rng)
