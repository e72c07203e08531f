"""Arrays that are computed once: ragged records in shards, resumable, shared by processes, refused when stale."""

from __future__ import annotations

import json
import os
import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clipkit.store._files import StoreError, claim, commit, explain, open_file, sweep, temporary_of
from clipkit.store._key import digest, plain
from clipkit.store._shard import Record, Shard
from clipkit.store.share import Compute, ShardTask, own_rank, refuse_other, share, write

FORMAT = 1
_OPEN_SHARDS = 256  # each open map holds a file descriptor


class Store:
    """Records `id -> arrays`, each array `(M, …)` with the record's own number of rows `M` (0 is fine).

    A folder with `store.json` (format, key, sizes), `part-0000.json` … (the ids that each `build` added, which fixes
    the shards' content before any is computed) and `shard-000000.safetensors` … A shard is complete or absent. A
    killed `build` goes on with the missing shards and ends with the same bytes.

    Args:
        folder: where the store lies or will lie.
        key: what the records depend on (weights hash, crop, precision, content hash of the inputs, …), plain JSON. It
            must equal the key that the store was made with. None opens an existing store whatever its key.
        shard_size: records a shard; a new store's default is 256. What a kill can cost a process.
        batch_size: most ids that `compute` gets at once, default 32. Batches never cross a shard. Both sizes belong to
            the store: None takes those of an existing one.

    Raises:
        FileNotFoundError: if there is no store and `key` is None.
        StoreError: if the store has another key, format or size, or the folder holds something else.
    """

    def __init__(
        self,
        folder: str | Path,
        key: Mapping[str, Any] | None = None,
        *,
        shard_size: int | None = None,
        batch_size: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        asked = None if key is None else plain(key)
        sizes = {"shard_size": shard_size, "batch_size": batch_size}
        for name, value in sizes.items():
            if value is not None and value < 1:
                raise StoreError(f"{name} must be at least 1, got {value}")
        if not (self.folder / "store.json").is_file():
            self._create(asked, {"shard_size": shard_size or 256, "batch_size": batch_size or 32})
        made = _read_json(self.folder / "store.json")
        if made.get("format") != FORMAT:
            raise StoreError(
                f"{self.folder}: has store format {str(made.get('format'))[:40]}, this clipkit reads {FORMAT}"
            )
        if not isinstance(made.get("key"), dict) or any(type(made.get(n)) is not int or made[n] < 1 for n in sizes):
            raise StoreError(
                f"{self.folder / 'store.json'}: is damaged (key, {', '.join(sizes)}); delete the store and build again"
            )
        sizes = {name: value for name, value in sizes.items() if value is not None}
        if asked is not None or sizes:
            same = made["key"] if asked is None else asked
            refuse_other(self.folder, {**made["key"], **{n: made[n] for n in sizes}}, {**same, **sizes})
        self.key: dict[str, Any] = made["key"]
        self.shard_size: int = made["shard_size"]
        self.batch_size: int = made["batch_size"]
        self._digest = digest(self.key)
        self._ids: list[str] = []
        self._place: dict[str, int] = {}
        self._starts: list[int] = []  # of each shard, in self._ids
        self._parts = 0
        self._maps: OrderedDict[int, Shard] = OrderedDict()
        self._guard = threading.Lock()
        self.refresh()

    # ------------------------------------------------------------------ reading

    def __getitem__(self, identifier: str) -> Record:
        """The record's arrays by name: read-only views of the mapped file, checksum compared.

        Raises:
            KeyError: if the id is unknown or not computed yet.
            StoreError: if the file is damaged; the message names it.
        """
        shard, row = self._locate(identifier)
        return shard.record(row, identifier)

    def count(self, identifier: str) -> int:
        """The number of a record's rows, without reading them.

        Raises:
            KeyError, StoreError: as for reading it.
        """
        shard, row = self._locate(identifier)
        return int(shard.offsets[row + 1] - shard.offsets[row])

    def free_id(self, identifier: str) -> str:
        """`identifier`, with `~` behind it where its record has no rows. A run that was stopped has planned such a
        record, and a later one that no longer had the item could only leave it empty; records are never replaced."""
        while identifier in self and not self.count(identifier):
            identifier += "~"
        return identifier

    def read(self, ids: Sequence[str], name: str = "data") -> tuple[np.ndarray, np.ndarray]:
        """Many records at once, copied.

        Returns:
            `(sum M, …)`, the rows in the order of `ids`, and `(len(ids) + 1,)` int64 offsets.

        Raises:
            KeyError, StoreError: as for reading one; records that differ in type or width, or without such an array.
        """
        if not ids:
            raise ValueError("read needs at least one id")
        records = [self[identifier] for identifier in ids]
        found = [record[name] for record in records if name in record]
        if len(found) < len(records) or len({(array.dtype, array.shape[1:]) for array in found}) > 1:
            raise StoreError(
                f"{self.folder}: its records differ, or hold no {name!r}; delete the store and build again"
            )
        return np.concatenate(found), np.cumsum([0, *map(len, found)], dtype=np.int64)

    def __contains__(self, identifier: object) -> bool:
        """True if the record is complete."""
        place = self._place.get(identifier)  # type: ignore[call-overload]
        return place is not None and self._is_complete(bisect_right(self._starts, place) - 1)

    def __iter__(self) -> Iterator[str]:
        """Ids of the complete records, in the order in which they were asked for."""
        for number in sorted(self.complete()):
            yield from self._ids_of(number)

    def __len__(self) -> int:
        """The number of complete records."""
        return sum(len(self._ids_of(number)) for number in self.complete())

    def verify(self) -> int:
        """Reads everything and compares all checksums; returns the number of records.

        Raises:
            StoreError: naming the first damaged file.
        """
        ids = list(self)
        for identifier in ids:
            self[identifier]
        return len(ids)

    def refresh(self) -> None:
        """Takes notice of what other processes added."""
        while os.path.lexists(path := self._part_path(self._parts)):
            part = _read_json(path)
            ids: Any = part.get("ids")
            is_list = isinstance(ids, list) and all(isinstance(identifier, str) for identifier in ids)
            if not is_list or part.get("first_shard") != len(self._starts):
                raise StoreError(f"{path}: does not fit its store; restore it from a copy, or delete the store")
            if len(set(ids)) != len(ids) or not self._place.keys().isdisjoint(ids):
                raise StoreError(f"{path}: lists an id twice; restore it from a copy, or delete the store")
            for start in range(0, len(ids), self.shard_size):
                self._starts.append(len(self._ids) + start)
            self._place.update((identifier, len(self._ids) + i) for i, identifier in enumerate(ids))
            self._ids += ids
            self._parts += 1

    # ------------------------------------------------------------------ writing

    def build(
        self,
        ids: Iterable[str],
        compute: Compute,
        *,
        rank: int | None = None,
        world_size: int | None = None,
        progress: bool = True,
        desc: str = "computing",
        unit: str = "record",
        ahead: Callable[[list[str]], Any] | None = None,
        note: Callable[[], str] | None = None,
    ) -> int:
        """Computes what is missing of `ids` and returns when all of it is there.

        New ids are appended in their order. Processes that build the same store share the work: shard `s` is first of
        all rank `s % world_size`'s; who has finished helps with what nobody works on. A shard that was begun by an
        earlier, killed call with other ids is computed whole.

        Args:
            ids: unique strings.
            compute: gets up to `batch_size` ids, returns as many records: a dict of arrays `(M, …)`, or one array
                `(M, D)`, which is stored as 'data'. It must depend on the ids and the key alone.
            rank, world_size: default: those of torchrun's environment or Slurm's, else 0 and 1.
            progress: a progress bar on rank 0 for work of more than one batch that takes longer than a second.
            desc, unit: what the bar says; `note` is asked for more of it after each batch.
            ahead: told before each batch which ids it and the next one hold, so that their files can be read while
                this one is computed. Another process may take the next one.

        Returns:
            The number of records computed by this process.

        Raises:
            ValueError: for a repeated id, or records of unequal form.
            StoreError: if the disk is full (complete shards stay), or a shard is damaged.
        """
        own = own_rank()
        ranks = (own[0] if rank is None else rank, own[1] if world_size is None else world_size)
        tasks = self.plan(ids)
        return share(self, tasks, compute, ranks=ranks, progress=progress, desc=desc, unit=unit, ahead=ahead, note=note)

    def plan(self, ids: Iterable[str]) -> list[ShardTask]:
        """Fixes which shards the new ones of `ids` go to, before any is computed; returns the shards that hold `ids`,
        those that are there as well.

        Raises:
            ValueError: a repeated id.
            StoreError: a shard that is there is damaged.
        """
        wanted = list(ids)
        if len(set(wanted)) != len(wanted):
            raise ValueError(f"id {_first_repeat(wanted)!r} is given twice")
        self._add(wanted)
        numbers = sorted({bisect_right(self._starts, self._place[identifier]) - 1 for identifier in wanted})
        for number in self.complete().intersection(numbers):
            self._shard(number, "")  # a damaged one is found now, not in the middle of a training
        about = (self.batch_size, self._digest, len(self._starts))
        return [ShardTask(number, self._shard_path(number), self._ids_of(number), *about) for number in numbers]

    def complete(self) -> set[int]:
        """Numbers of the shards that are there."""
        present = set(os.listdir(self.folder))
        return {number for number in range(len(self._starts)) if self._shard_path(number).name in present}

    def tidy(self) -> None:
        """Removes temporary files of killed processes."""
        sweep(self.folder)

    def _add(self, wanted: list[str]) -> None:
        """Writes down the ids that are new."""
        while True:
            self.refresh()
            new = [identifier for identifier in wanted if identifier not in self._place]
            if not new:
                return
            wrong = next((i for i in new if not isinstance(i, str)), None)
            if wrong is not None:
                raise ValueError(f"ids must be strings, got {wrong!r}")
            path = self._part_path(self._parts)
            text = json.dumps({"first_shard": len(self._starts), "ids": new}, indent=0).encode()
            with claim(path, wait=True) as fd:
                if fd is not None:  # else another process was first: look at what it wrote
                    write(fd, path, [text], len(self._starts))

    def _create(self, key: dict[str, Any] | None, sizes: dict[str, int]) -> None:
        if key is None:
            raise FileNotFoundError(f"{self.folder}: no store here (no store.json)")
        path = self.folder / "store.json"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            allowed = (path.name, temporary_of(path).name, "lost+found")
            others = [p.name for p in self.folder.iterdir() if p.name not in allowed and p.name[0] != "."]
            # Looked at once more: another process may have created the store, and even begun it, since.
            if others and not path.is_file():
                raise StoreError(f"{self.folder}: holds {min(others)!r} but no store.json; name an empty folder")
            text = json.dumps({"format": FORMAT, "key": key, **sizes}, indent=1, sort_keys=True).encode()
            with claim(path, wait=True) as fd:
                if fd is not None:
                    commit(fd, path, [text])
        except (FileExistsError, NotADirectoryError):
            raise StoreError(f"{self.folder}: is a file, a store is a folder") from None
        except OSError as error:
            raise explain(error, path, 4096, "nothing was there before") from None

    # ------------------------------------------------------------------ parts

    def _ids_of(self, number: int) -> list[str]:
        # A part's last shard may be short, so the next shard's start is the end.
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self._ids)
        return self._ids[self._starts[number] : end]

    def _part_path(self, number: int) -> Path:
        return self.folder / f"part-{number:04d}.json"

    def _shard_path(self, number: int) -> Path:
        return self.folder / f"shard-{number:06d}.safetensors"

    def _is_complete(self, number: int) -> bool:
        return number in self._maps or self._shard_path(number).is_file()

    def _locate(self, identifier: str) -> tuple[Shard, int]:
        if identifier not in self._place:
            self.refresh()
            if identifier not in self._place:
                raise KeyError(f"{identifier!r} is not in {self.folder}")
        place = self._place[identifier]
        number = bisect_right(self._starts, place) - 1
        return self._shard(number, identifier), place - self._starts[number]

    def _shard(self, number: int, identifier: str) -> Shard:
        with self._guard:
            if number in self._maps:
                self._maps.move_to_end(number)
                return self._maps[number]
        try:
            shard = Shard(self._shard_path(number), self._ids_of(number), self._digest)
        except FileNotFoundError:
            raise KeyError(f"{identifier!r} is planned in {self.folder} but not computed: run build again") from None
        with self._guard:
            self._maps[number] = shard
            while len(self._maps) > _OPEN_SHARDS:
                self._maps.popitem(last=False)
        return shard

    def __getstate__(self) -> dict[str, Any]:
        # Data-loader workers map the files themselves.
        return {**self.__dict__, "_maps": OrderedDict(), "_guard": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _guard=threading.Lock())

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r}: {len(self)} of {len(self._ids)} records complete)"


def _read_json(path: Path) -> dict[str, Any]:
    try:
        with os.fdopen(open_file(path), "rb") as file:
            content = json.loads(file.read())
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: is damaged ({error}); delete the store and build it again") from None
    if not isinstance(content, dict):
        raise StoreError(f"{path}: is not a store's file")
    return content


def _first_repeat(items: list[str]) -> str:
    seen: set[str] = set()
    return next(item for item in items if item in seen or seen.add(item))  # type: ignore[func-returns-value]
