"""Pictures and texts in Parquet files from strangers (extra `parquet`), a group of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from clipkit.errors import ClipkitError, one_line
from clipkit.safe import OverBudget, require

from . import addresses
from ._sample import MOST, PICTURE_COLUMNS, TEXT_COLUMNS, Part, Sample, Skipped, file_sample

_ROWS, _MEMORY = 64, 1 << 30  # rows that are taken at once, and bytes that they may take
_NAMES = ("key", "__key__", "id", "path", "image_path", "file_name", "url")


def groups(address: str) -> int:
    """How many groups of rows a file has; 1 where it is damaged, which is found when that is read.

    Raises:
        ClipkitError: pyarrow is not installed.
    """
    try:
        with _open(address) as file:
            return max(file.metadata.num_row_groups, 1)
    except _errors() as error:
        _refuse_systems(error)
        return 1


def read_group(part: Part, wanted: str) -> Iterator[Sample | Skipped]:
    """The samples of one group of rows."""
    number, place, total = part.place[0], 0, 1
    try:
        with _open(part.source) as file:
            about = file.metadata.row_group(number)
            total = about.num_rows
            picture, text, name = _columns(part, file.schema_arrow, wanted)
            used = [column for column in dict.fromkeys((picture, text, name)) if column]
            rows = _rows_at_once(part, about, used)
            for batch in file.iter_batches(batch_size=rows, row_groups=[number], columns=used):
                for values in zip(*(batch.column(column) for column in used)):
                    row: dict[Any, Any] = {column: value.as_py() for column, value in zip(used, values)}
                    own = row.get(name) if name else None
                    label = own if isinstance(own, str) and own else f"row {place} of group {number}"
                    place += 1
                    yield _sample(part, label, row.get(picture or 0), row.get(text or 0), wanted)
    except OverBudget as error:
        yield Skipped(f"group {number}", one_line(error), max(total, 1))
    except _errors() as error:
        _refuse_systems(error)
        yield Skipped(f"group {number} from row {place} on", f"damaged ({one_line(error, 200)})", max(total - place, 1))


def _sample(part: Part, name: str, picture: Any, text: Any, wanted: str) -> Sample | Skipped:
    caption = text.strip() if isinstance(text, str) else None
    if isinstance(picture, dict):  # as Hugging Face's data sets have it
        picture = picture.get("bytes")
    if isinstance(picture, str) and wanted != "texts":
        return file_sample(part.root, picture, caption, wanted)
    if not isinstance(picture, bytes):
        return Sample(name, text=caption)
    return (
        Skipped(name, f"has more than {MOST >> 20} MiB")
        if len(picture) > MOST
        else Sample(name, picture, None, caption)
    )


def _columns(part: Part, schema: Any, wanted: str) -> tuple[str | None, str | None, str | None]:
    names = schema.names
    picture, text = (next((name for name in known if name in names), None) for known in (PICTURE_COLUMNS, TEXT_COLUMNS))
    for known, found, other in ((PICTURE_COLUMNS, picture, "texts"), (TEXT_COLUMNS, text, "pictures")):
        if found is None and wanted != other:
            raise ValueError(f"it has none of the columns {', '.join(known)}")
    label = next((name for name in _NAMES if name in names and name != picture), None)
    return (None if wanted == "texts" else picture), (None if wanted == "pictures" else text), label


def _rows_at_once(part: Part, about: Any, used: list[str]) -> int:
    """Rows that fit into memory, whatever the columns repeat.

    Raises:
        OverBudget: what is packed would take more than its size explains.
    """
    columns = [about.column(i) for i in range(about.num_columns)]
    own = [column for column in columns if column.path_in_schema.partition(".")[0] in used]
    packed, whole = (sum(getattr(c, f"total_{kind}_size") for c in own) for kind in ("compressed", "uncompressed"))
    size = addresses.size_of(part.source)
    require(part.source, min(packed, size), whole, "a group of its rows", "packed it has")
    require(part.source, size, about.num_rows, "the rows of a group, at a byte each,")
    return max(1, min(_ROWS, _MEMORY // max(whole, 1)))


@contextmanager
def _open(address: str) -> Iterator[Any]:
    try:
        from pyarrow.parquet import ParquetFile
    except ModuleNotFoundError:
        raise ClipkitError(f'{address}: Parquet needs the package pyarrow: pip install -e ".[parquet]"') from None
    with addresses.reading(address) as raw, ParquetFile(raw) as file:
        yield file


def _errors() -> tuple[type[Exception], ...]:
    """What pyarrow raises on damaged files; without it nothing, as `_open` says so."""
    try:
        import pyarrow
    except ModuleNotFoundError:
        return ()
    return pyarrow.ArrowException, OSError, ValueError, KeyError, IndexError, OverflowError


def _refuse_systems(error: Exception) -> None:
    """Raises what a disk or network says; pyarrow's own are of the same type, without a number."""
    if isinstance(error, OSError) and error.errno is not None:
        raise error
