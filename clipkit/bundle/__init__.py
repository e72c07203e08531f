"""Sharing a trained model without code: a folder of tensors, a config as data, labels, scores and a card.

`clipkit bundle WORK_DIR OUT` writes one; `Predictor.from_pretrained(OUT)` and `clipkit predict OUT photo.jpg` read it,
and `hf-hub:owner/name` in place of the folder. What strangers wrote is read by allow-list; docs/sharing.md says how.
"""

from clipkit.bundle._layout import Bundle, is_bundle
from clipkit.bundle.hub import find_bundle, push_bundle
from clipkit.bundle.read import open_bundle, read_bundle
from clipkit.bundle.records import Records, read_records
from clipkit.bundle.write import save_bundle

__all__ = [
    "Bundle",
    "Records",
    "find_bundle",
    "is_bundle",
    "open_bundle",
    "push_bundle",
    "read_bundle",
    "read_records",
    "save_bundle",
]
