"""Contrastive pretraining of a CLIP on captioned scenes, as mmengine parts."""

import json
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import BaseLoop
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset

from clipkit.adapters import ContrastiveLoss
from clipkit.backbone import TunableCLIP, save_open_clip_folder
from clipkit.backbone.options import clip_options
from clipkit.engine.registry import DATASETS, HOOKS, LOOPS, MODELS
from clipkit.errors import ClipkitError
from clipkit.files import write_text
from clipkit.shapes.closeups import closeups
from clipkit.shapes.depths import depth_scenes, depth_windows
from clipkit.shapes.evaluate import evaluate
from clipkit.shapes.render import render

MAX_LOG_SCALE = 4.605170185988092  # ln 100


def plain_attention(model: nn.Module) -> None:
    """Lets timm's blocks compute attention in plain steps: with bfloat16 on a CPU the backward pass of the fused form
    takes twice as long at 65 tokens."""
    for module in model.modules():
        if hasattr(module, "fused_attn"):
            module.fused_attn = False  # type: ignore[assignment]


@DATASETS.register_module()
class ShapesCaptions(Dataset):
    """Endless captioned scenes: item `i` is a whole batch, rendered when it is asked for, a function of (seed, i).

    Args:
        batch: scenes an item.
        length: items an epoch; scenes are never repeated within it.
        seed: runs of different seeds see different scenes.
        warmup: number of items at the start that hold single objects with short captions ("striped red star"). From
            long captions alone a CLIP from scratch learns colours and stays there: as long as the image tower sees no
            shapes, the text tower does best to drop the words for them, and then nothing asks for shapes.
        closeups: number of items with close-ups (`clipkit.shapes.closeups`) after each of the others.
        distances: number of items with scenes that have depth (`clipkit.shapes.depth_scenes`) after those: two of
            three hold single objects, the third two or three.
        windows: sides in pixels, for each an item with windows of such scenes after those, see
            `clipkit.shapes.depths.depth_windows`.
        size, split, subset, style: see `clipkit.shapes.render`.

    After the warm-up items take turns: single objects with short captions, single objects, one to three objects.
    """

    def __init__(
        self,
        batch: int,
        length: int = 10**6,
        seed: int = 0,
        warmup: int = 0,
        closeups: int = 0,
        distances: int = 0,
        windows: Sequence[int] = (),
        **options: Any,
    ) -> None:
        self.batch, self.length, self.seed, self.warmup, self.options = batch, length, seed, warmup, options
        self.closeups, self.distances, self.windows = closeups, distances, windows

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`images` (batch, 3, H, W) float RGB in [0, 1] and `texts`, one caption each."""
        index = int(index)
        seed = self.seed * self.length + index
        whole = 1 + self.closeups + self.distances  # items of a cycle that are no windows
        cycle = whole + len(self.windows)
        place = max(0, index - self.warmup) % cycle
        if place >= whole:
            images, captions = depth_windows(self.batch, window=self.windows[place - whole], seed=seed, **self.options)
            return {"images": images, "texts": captions}
        if place > self.closeups:
            objects = (1, 1) if (index // cycle + place) % 3 else (2, 3)
            far = depth_scenes(self.batch, seed=seed, objects=objects, **self.options)
            return {"images": far.images, "texts": far.captions}
        if place:
            images, captions = closeups(self.batch, seed=seed, **self.options)
            return {"images": images, "texts": captions}
        turn = 0 if index < self.warmup else index // cycle % 3
        objects = (1, 3) if turn == 2 else (1, 1)
        scenes = render(self.batch, seed=seed, objects=objects, **self.options)
        return {"images": scenes.images, "texts": scenes.captions if turn else scenes.short_captions}


@MODELS.register_module()
class ContrastivePretrainer(BaseModel):
    """A CLIP that trains whole on image-text pairs (Radford et al. 2021, section 2.3 and figure 3).

    Args:
        clip: a name, or `dict(name=..., pretrained=...)`; without weights it starts from the architecture's own
            initialisation.
        chunk: rows of the similarity matrix computed at a time, see `ContrastiveLoss`; None computes all.
        trains: parts that learn, see `TunableCLIP.unfreeze`; `("visual", "logit_scale")` holds the texts fast (LiT,
            Zhai et al. 2022), so that embeddings of words stay what they were.
        fused_attention: False computes attention in plain steps, in both towers, see `plain_attention`.
        name, pretrained: belong into `clip`; read here until 1.0.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] | None = None,
        pretrained: str | None = None,
        chunk: int | None = None,
        trains: Sequence[str] = ("all",),
        fused_attention: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        options = clip_options(clip, name=name, pretrained=pretrained)
        self.clip = TunableCLIP.from_pretrained(**options).unfreeze(*trains)
        self.loss = ContrastiveLoss(chunk=chunk)
        self.fused_attention = fused_attention
        if not fused_attention:
            plain_attention(self.clip)

    def forward(self, images: list[Tensor], texts: list[list[str]], mode: str = "tensor") -> Any:
        """Items of `ShapesCaptions`, collated to lists. mode 'loss' gives the loss, 'tensor' both embeddings."""
        pixels = torch.cat(images)
        image = self.clip.encode_image(pixels)
        with nullcontext() if self.fused_attention else sdpa_kernel(SDPBackend.MATH):
            text = self.clip.encode_text([caption for item in texts for caption in item])
        if mode == "loss":
            return {"loss": self.loss(image, text, self.clip.logit_scale_log.exp())}
        return image, text

    @torch.no_grad()
    def clamp_(self) -> None:
        """Keeps the logit scale within [1, 100]; `ClampHook` calls this after each step."""
        self.clip.logit_scale_log.clamp_(0, MAX_LOG_SCALE)


@LOOPS.register_module()
class ShapesZeroShotLoop(BaseLoop):
    """Validates or tests a `ContrastivePretrainer` with `clipkit.shapes.evaluate`; the data loader is not read, because
    the held-out scenes are a function of their seed.

    Args:
        count: scenes a measure.
    """

    def __init__(self, runner: Any, dataloader: Any, evaluator: Any = None, count: int = 1000) -> None:
        super().__init__(runner, dataloader)
        self.count = count

    def run(self) -> dict[str, float]:
        mode = "val" if self is self.runner._val_loop else "test"
        self.runner.call_hook(f"before_{mode}")
        self.runner.call_hook(f"before_{mode}_epoch")
        self.runner.model.eval()
        metrics = {name: round(value, 2) for name, value in evaluate(self.runner.bare_model.clip, self.count).items()}
        self.runner.call_hook(f"after_{mode}_epoch", metrics=metrics)
        self.runner.call_hook(f"after_{mode}")
        return metrics


@HOOKS.register_module()
class ExportOpenClipHook(Hook):
    """Writes the trained CLIP as an open_clip folder at the end, with `metrics.json` beside it.

    Args:
        folder: relative to the work directory.
        precision: of the stored weights.
        count: held-out scenes of each measure.
    """

    priority = "LOWEST"

    def __init__(self, folder: str = "open_clip", precision: str = "fp16", count: int = 1000) -> None:
        self.folder, self.precision, self.count = folder, precision, count

    def before_run(self, runner: Any) -> None:
        if runner.is_sharded:
            raise ClipkitError(
                "ExportOpenClipHook writes the whole CLIP, which no process of clipkit.FullyShard holds: leave it out "
                "(custom_hooks)"
            )

    def after_train(self, runner: Any) -> None:
        if runner.rank != 0:
            return
        clip = runner.bare_model.clip
        folder = Path(save_open_clip_folder(clip, Path(runner.work_dir) / self.folder, self.precision))
        metrics = {
            **evaluate(clip, self.count),
            "images": runner.iter * runner.train_dataloader.dataset.batch,
            "seed": runner.seed,
        }
        write_text(Path(runner.work_dir) / "metrics.json", json.dumps(metrics, indent=1) + "\n")
        runner.logger.info(f"open_clip folder: {folder}; {metrics}")
