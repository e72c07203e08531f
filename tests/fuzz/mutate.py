"""Damage to bytes, text, trees and folders; each function depends on what it gets and on `rng` alone."""

import copy
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

Mutator = Callable[[bytes, Random], bytes]

NUMBERS = (
    0,
    1,
    2,
    127,
    128,
    255,
    0x7FFF,
    0xFFFF,
    0x7FFFFFFF,
    1 << 31,
    0xFFFFFFFF,
    1 << 40,
    (1 << 63) - 1,
    (1 << 64) - 1,
)
WORDS = (
    "", " ", "-1", "0", "1", "2", "3.5", "1e400", "nan", "inf", "-inf", "9" * 400, "true", "null", "²", "٣", "1_0",
    "../../../../etc/hostname", "/etc/hostname", "..", ".", "~", "C:\\a", "a/b/c", "a\\b", "CON", "file:///etc/hostname",
    "http://localhost:9/x", "\u202egnp.exe", "e\u0301", "𝔘", "\ufeff", "a\0b", "\x1b[2J", "a\nb", "\r",
    "a" * 5000, "x\ud800",
    "#", ";", ",", "\t", '"', "'", "{", "[", "(", "<", "&a;", "{}", "%s", "__class__", "a.b", "a b",
)  # fmt: skip
VALUES = (
    *(None, True, False, -1, 0, 1, 2, 255, 1 << 31, (1 << 53) + 1, 1 << 63, 1 << 64, 10**400, 0.5, -0.0, 1e308),
    *(math.nan, math.inf, -math.inf, [], {}, [[]], [None], [{}], {"": None}, "\0deep"),
)


# -- bytes ----------------------------------------------------------------------------------------------------------


def _place(data: bytes, rng: Random) -> int:
    """Headers lie at the start, a zip's list of contents at the end."""
    ends = (len(data), min(len(data), 256), min(len(data), 32))
    near = rng.randrange(max(1, rng.choice(ends)))
    return len(data) - 1 - near if rng.random() < 0.3 else near


def flip(data: bytes, rng: Random) -> bytes:
    """Some bits."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        out[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(out)


def cut(data: bytes, rng: Random) -> bytes:
    """The start or the end is missing."""
    place = _place(data, rng)
    return data[place:] if rng.random() < 0.2 else data[:place]


def splice(data: bytes, rng: Random) -> bytes:
    """A stretch is lost, doubled, zeroed, random, or a copy of another one."""
    length, place, other = min(rng.choice((1, 4, 16, 64, 512)), len(data)), _place(data, rng), _place(data, rng)
    head, piece, tail = data[:place], data[place : place + length], data[place + length :]
    new = (b"", piece * 2, bytes(len(piece)), rng.randbytes(len(piece)), data[other : other + length])
    return head + rng.choice(new) + tail


def set_number(data: bytes, rng: Random) -> bytes:
    """An extreme number of 1 to 8 bytes, in either order, where a length or a size may be."""
    size = rng.choice((1, 2, 4, 4, 8))
    place = min(_place(data, rng), max(0, len(data) - size))
    near = rng.choice((*NUMBERS, len(data), len(data) - place, max(0, len(data) - place - size)))
    number = (near & ((1 << 8 * size) - 1)).to_bytes(size, rng.choice(("little", "big")))
    return data[:place] + number + data[place + size :]


def set_digits(data: bytes, rng: Random) -> bytes:
    """A number that is written out, as in the headers of arrays."""
    found = list(re.finditer(rb"-?\d+", data[: 1 << 16]))
    if not found:
        return set_number(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + str(rng.choice((*NUMBERS, -1, 10**400))).encode() + data[match.end() :]


RAW: tuple[Mutator, ...] = (flip, flip, flip, cut, splice, splice, set_number, set_number, set_digits)


def raw(data: bytes, rng: Random) -> bytes:
    """Damage that knows nothing of the format, and leaves checksums as they were."""
    return rng.choice(RAW)(data, rng) if data else rng.randbytes(rng.choice((1, 8, 100)))


# -- text -----------------------------------------------------------------------------------------------------------


def lines(data: bytes, rng: Random) -> bytes:
    """A line or a word of it is lost, doubled, moved, or something else; the file's encoding is."""
    rows = data.decode("utf-8", "surrogateescape").split("\n")
    at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    words = re.split(r"([\s,;:/<>=\"'\[\]{}()]+)", rows[at])
    place = rng.randrange(len(words))
    match rng.randrange(8):
        case 0:
            del rows[at]
        case 1:
            rows.insert(other, rows[at])
        case 2:
            rows[at], rows[other] = rows[other], rows[at]
        case 3:
            rows[at] = rng.choice(WORDS)
        case 4:
            rows[at] = "".join(words[:place] + words[place + 1 :])
        case _:
            rows[at] = "".join([*words[:place], rng.choice(WORDS), *words[place + 1 :]])
    text = "\n".join(rows)
    if rng.random() < 0.1:
        encoding, errors = rng.choice(("utf-16", "utf-8-sig", "latin-1", "utf-32")), "replace"
        return text.encode(encoding, errors)
    if rng.random() < 0.1:
        text = text.replace("\n", rng.choice(("\r\n", "\r", "\n\n", "\f\n")))
    return text.encode("utf-8", "surrogatepass" if rng.random() < 0.5 else "replace")


# -- trees of dicts and lists -----------------------------------------------------------------------------------------


def json_value(old: Any, rng: Random) -> Any:
    """Another value in the place of one."""
    if rng.random() < 0.2 and isinstance(old, (int, float, str)) and not isinstance(old, bool):
        return rng.choice((str(old), [old], {"a": old}, f"{old}²", -old if not isinstance(old, str) else old * 2))
    return rng.choice(VALUES) if rng.random() < 0.6 else rng.choice(WORDS)


def change(tree: Any, rng: Random, value_of: Callable[[Any, Random], Any] = json_value) -> Any:
    """A copy of dicts and lists in which one place, near the root as often as deep below, is something else."""
    tree = copy.deepcopy(tree)
    holder: Any = None
    key: Any = None
    node = tree
    while isinstance(node, (dict, list)) and node and (holder is None or rng.random() < 0.75):
        holder, key = node, rng.choice(list(node)) if isinstance(node, dict) else rng.randrange(len(node))
        node = holder[key]
    if holder is None:
        return value_of(tree, rng)
    match rng.randrange(10):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(WORDS)] = holder.pop(key)
        case 1:
            holder.insert(key, copy.deepcopy(holder[key]))
        case 2 if isinstance(holder, dict):
            holder[f"\0{key}"] = value_of(holder[key], rng)  # `json_` makes the same key twice of it
        case 2:
            holder.extend(copy.deepcopy(holder))
        case 3:
            other = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
            holder[key] = copy.deepcopy(holder[other])
        case _:
            holder[key] = value_of(node, rng)
    return tree


def json_(data: bytes, rng: Random) -> bytes:
    """JSON that stays JSON; keys may come twice, lists may lie in lists without end."""
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError):
        return lines(data, rng)
    for _ in range(rng.choice((1, 1, 2, 3))):
        tree = change(tree, rng)
    text = json.dumps(tree, ensure_ascii=rng.random() < 0.5)
    depth = rng.choice((500, 3000, 100_000))
    text = text.replace('"\\u0000deep"', "[" * depth + "]" * depth).replace('"\\u0000', '"')
    return text.encode("utf-8", "surrogatepass")


def json_lines(data: bytes, rng: Random) -> bytes:
    """One line of many as `json_` has it."""
    rows = data.split(b"\n")
    at = rng.randrange(len(rows))
    rows[at] = json_(rows[at], rng)
    return b"\n".join(rows)


# -- folders --------------------------------------------------------------------------------------------------------


def folder(root: Path, rng: Random) -> str:
    """A file of a folder is missing, empty, another one, a link, a pipe; says which and what."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    if not files:
        return "nothing"
    path, other = rng.choice(files), rng.choice(files)
    what = rng.choice(("gone", "empty", "folder", "link", "loop", "abroad", "pipe", "renamed", "copied", "padded"))
    if what == "copied":
        shutil.copyfile(other, path) if other != path else None
    elif what == "padded":
        path.write_bytes(path.read_bytes() + bytes(rng.choice((1, 1 << 10, 8 << 20))))
    elif what == "renamed":
        name = rng.choice(
            [word for word in WORDS if word.strip(". ") and not set("/\0") & set(word) and len(word) < 99]
        )
        path.rename(path.with_name(name.encode("utf-8", "replace").decode() + path.suffix))
    elif what != "empty":
        path.unlink()
    match what:
        case "empty":
            path.write_bytes(b"")
        case "folder":
            path.mkdir()
        case "link":
            os.symlink(other, path)
        case "loop":
            os.symlink(path, path)
        case "abroad":
            os.symlink("/etc/hostname", path)
        case "pipe":
            os.mkfifo(path)
    return f"{what} {path.relative_to(root)}"
