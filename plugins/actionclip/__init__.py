"""ActionCLIP: actions recognised by their names (Wang et al., 2021, arXiv:2109.08472)."""

from .convert import convert
from .dataset import ActionVideos
from .films import FilmActions
from .hooks import ActionClassesHook
from .metric import ActionAccuracy
from .model import ActionCLIP

__all__ = ["ActionAccuracy", "ActionCLIP", "ActionClassesHook", "ActionVideos", "FilmActions", "convert"]
