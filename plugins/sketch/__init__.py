"""Drawings that CLIP asks for: CLIPasso (Vinker et al., 2022), CLIPDraw (Frans et al., 2021), and who judges them."""

from clipkit_plugins.sketch.judge import Outlines, ShapeJudge, ShapesNamed

__all__ = ["Outlines", "ShapeJudge", "ShapesNamed"]
