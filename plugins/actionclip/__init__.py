"""ActionCLIP: actions recognised by their names (Wang et al., 2021, arXiv:2109.08472)."""

from clipkit_plugins.actionclip.convert import convert
from clipkit_plugins.actionclip.dataset import ActionVideos
from clipkit_plugins.actionclip.films import FilmActions
from clipkit_plugins.actionclip.hooks import ActionClassesHook
from clipkit_plugins.actionclip.metric import ActionAccuracy
from clipkit_plugins.actionclip.model import ActionCLIP

import clipkit.video  # noqa: F401

__all__ = ["ActionAccuracy", "ActionCLIP", "ActionClassesHook", "ActionVideos", "FilmActions", "convert"]
