"""A small VQGAN of the embedded world: trained by reconstruction alone, without the paper's discriminator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from clipkit_plugins.latent_edit.vq_files import write_vq_model
from clipkit_plugins.latent_edit.vqgan import VQGAN
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import Dataset

from clipkit.engine.registry import DATASETS, HOOKS, METRICS, MODELS
from clipkit.shapes import render
from clipkit.shapes.chunks import SEED_STEP
from clipkit.shapes.evaluate import HELD_OUT

_CHUNK = 64


@DATASETS.register_module()
class ScenePictures(Dataset):
    """Scenes of `clipkit.shapes.render`, 64 at a time, that no training of a CLIP drew.

    Args:
        length: scenes.
        seed: another one gives other scenes.
        options: of `render`.
    """

    def __init__(self, length: int, seed: int = 0, **options: Any) -> None:
        self.length, self.seed, self.options = length, HELD_OUT + seed * SEED_STEP, options
        self._kept: tuple[int, Tensor] | None = None

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        part, place = divmod(index, _CHUNK)
        if self._kept is None or self._kept[0] != part:
            self._kept = part, render(_CHUNK, seed=self.seed + part, **self.options).images
        return {"pictures": self._kept[1][place]}


@MODELS.register_module()
class VQAutoencoder(BaseModel):
    """L1 + 2 · L2 of the picture, and ‖sg(z) − e‖² + ¼ ‖z − sg(e)‖² of latents and their words (van den Oord et al.,
    2017, equation 3). Words that none of the last `restart` batches used become latents of the present one.

    Args:
        network: options of `VQGAN`.
        restart: iterations.
    """

    used: Tensor

    def __init__(
        self,
        network: Mapping[str, Any],
        restart: int = 50,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.options, self.restart = dict(network), restart
        self.vqgan = VQGAN(**network)
        self.register_buffer("used", torch.zeros(len(self.vqgan.codebook), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, pictures: Tensor, mode: str = "loss") -> Any:
        """mmengine's: losses, or the `psnr` of each picture in dB and the `words` that it has."""
        latents = self.vqgan.encode(pictures)
        if mode == "loss" and self.training:
            self._restart(latents)
        words = self.vqgan.words(latents)
        nearest = F.embedding(words, self.vqgan.codebook).movedim(-1, 1)
        drawn = self.vqgan.decode(latents + (nearest - latents).detach(), quantise=False)
        if mode != "loss":
            error = (drawn.clamp(0, 1) - pictures).square().mean((1, 2, 3))
            return [{"psnr": float(-10 * e.log10()), "words": w.unique().tolist()} for e, w in zip(error, words)]
        self.used += torch.bincount(words.flatten(), minlength=len(self.used))
        return {
            "loss_picture": (drawn - pictures).abs().mean() + 2 * (drawn - pictures).square().mean(),
            "loss_words": (nearest - latents.detach()).square().mean()
            + 0.25 * (nearest.detach() - latents).square().mean(),
        }

    @torch.no_grad()
    def _restart(self, latents: Tensor) -> None:
        if self.seen % self.restart == 0:
            dead = (self.used == 0).nonzero()[:, 0]
            rows = latents.movedim(1, -1).flatten(0, -2)
            self.vqgan.codebook[dead] = rows[torch.randint(len(rows), (len(dead),), device=rows.device)]
            self.used.zero_()
        self.seen += 1


@METRICS.register_module()
class Reconstructed(BaseMetric):
    """`psnr`, the mean over pictures in dB, and `codes`, how many words were used."""

    default_prefix = ""

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps both."""
        self.results += [(sample["psnr"], sample["words"]) for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Over all pictures."""
        used = {word for _, words in results for word in words}
        return {"psnr": sum(psnr for psnr, _ in results) / len(results), "codes": float(len(used))}


@HOOKS.register_module()
class ExportVQModelHook(Hook):
    """Writes the trained network as a folder of diffusers' VQModel, which `clipkit edit --generator` takes.

    Args:
        folder: where to.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def after_train(self, runner: Any) -> None:
        """Once, at the end."""
        model = runner.bare_model
        if runner.rank == 0:
            write_vq_model(model.vqgan, self.folder, **model.options)
            runner.logger.info(f"{self.folder}: a generator for clipkit edit --generator")
