"""AudioCLIP: a tower for sound joins a frozen CLIP (Guzhov et al., ICASSP 2022, arXiv:2106.13043)."""

from clipkit_plugins.audioclip.convert import convert
from clipkit_plugins.audioclip.dataset import SceneSounds, SoundFolder
from clipkit_plugins.audioclip.metric import SoundMetric
from clipkit_plugins.audioclip.model import AudioCLIP

import clipkit.video  # noqa: F401

__all__ = ["AudioCLIP", "SceneSounds", "SoundFolder", "SoundMetric", "convert"]
