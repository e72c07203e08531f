"""Arrays computed once, on disk: resumable, keyed by what made them, refused when stale. Needs numpy only."""

from clipkit.store._files import StoreError
from clipkit.store._key import hash_file, hash_files
from clipkit.store.store import Store

__all__ = ["Store", "StoreError", "hash_file", "hash_files"]
