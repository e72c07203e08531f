"""Reading files from strangers: nothing in them runs, none takes the machine, each bad one ends in one line.

docs/trust.md says what is promised and which test holds it.
"""

from clipkit.safe._budget import OverBudget, allowance, require
from clipkit.safe._hdf5 import Hdf5Arrays, read_hdf5
from clipkit.safe._json import read_json
from clipkit.safe._mat import check_mat, read_mat
from clipkit.safe._photos import (
    PICTURE_ERRORS,
    SIDEWAYS,
    Shown,
    array_to_rgb,
    exif_turn,
    image_size,
    read_bytes,
    read_image,
    to_rgb,
    unreadable,
)
from clipkit.safe._pickles import check_pickle, load_plain_pickle
from clipkit.safe._pictures import open_picture
from clipkit.safe._tensors import FileKind, check_torch, file_kind, is_text, load_tensors
from clipkit.safe._xml import parse_xml
from clipkit.safe._zips import check_crcs, check_zip, open_npz

__all__ = [
    "PICTURE_ERRORS",
    "SIDEWAYS",
    "FileKind",
    "Hdf5Arrays",
    "OverBudget",
    "Shown",
    "allowance",
    "array_to_rgb",
    "check_crcs",
    "check_mat",
    "check_pickle",
    "check_torch",
    "check_zip",
    "exif_turn",
    "file_kind",
    "image_size",
    "is_text",
    "load_plain_pickle",
    "load_tensors",
    "open_npz",
    "open_picture",
    "parse_xml",
    "read_bytes",
    "read_hdf5",
    "read_image",
    "read_json",
    "read_mat",
    "require",
    "to_rgb",
    "unreadable",
]
