"""CLIP-ViL: questions about pictures, answered from CLIP's grid (Shen et al., ICLR 2022, arXiv:2107.06383)."""

from clipkit_plugins.vqa.convert import convert
from clipkit_plugins.vqa.dataset import PhotoQuestions, SceneQuestions
from clipkit_plugins.vqa.lxmert import LxmertVQA
from clipkit_plugins.vqa.metric import VQAAccuracy
from clipkit_plugins.vqa.model import GridVQA

import clipkit.video  # noqa: F401

__all__ = ["GridVQA", "LxmertVQA", "PhotoQuestions", "SceneQuestions", "VQAAccuracy", "convert"]
