"""Edits by words: in pixels, in a VQGAN's latents (VQGAN-CLIP), in a style generator's (StyleCLIP)."""

from clipkit_plugins.latent_edit.train import ExportVQModelHook, Reconstructed, ScenePictures, VQAutoencoder
from clipkit_plugins.latent_edit.world import EditsRight, PictureEditor, SceneEdits, StyleEditor

__all__ = [
    "EditsRight",
    "ExportVQModelHook",
    "PictureEditor",
    "Reconstructed",
    "SceneEdits",
    "ScenePictures",
    "StyleEditor",
    "VQAutoencoder",
]
