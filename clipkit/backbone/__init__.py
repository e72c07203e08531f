"""The only code that touches open_clip: a frozen CLIP, and one that trains where it is told to."""

from clipkit.backbone import _tiny_vit as _tiny_vit
from clipkit.backbone._dense import VARIANTS
from clipkit.backbone._features import Features
from clipkit.backbone._folder import save_open_clip_folder
from clipkit.backbone.clip import ClipModel
from clipkit.backbone.frozen import FrozenCLIP
from clipkit.backbone.tunable import BottleneckAdapter, TunableCLIP

__all__ = [
    "VARIANTS",
    "BottleneckAdapter",
    "ClipModel",
    "Features",
    "FrozenCLIP",
    "TunableCLIP",
    "save_open_clip_folder",
]
