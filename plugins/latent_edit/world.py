"""Edits of the embedded world's scenes, of which all is known that an edit should change and keep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from clipkit_plugins.latent_edit.edit import edit_picture
from clipkit_plugins.latent_edit.style import channel_directions, edit_latents, global_direction
from clipkit_plugins.latent_edit.vq_files import read_vq_model
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from torch import Tensor
from torch.utils.data import Dataset

from clipkit.backbone import FrozenCLIP
from clipkit.backbone.options import clip_options
from clipkit.engine.checkpoint import load_checkpoint
from clipkit.engine.registry import DATASETS, METRICS, MODELS
from clipkit.errors import ClipkitError
from clipkit.shapes import COLOURS, SHAPES
from clipkit.shapes.chunks import SEED_STEP
from clipkit.shapes.evaluate import HELD_OUT
from clipkit.shapes.soft import SoftScenes

_STRENGTHS = tuple(0.5 * step for step in range(1, 13))  # of a global direction, whose greatest move is one spread


def phrase(colour: int, shape: int) -> str:
    """`a red star`, as the world's captions have it."""
    return f"{'an' if COLOURS[colour][0] in 'aeiou' else 'a'} {COLOURS[colour]} {SHAPES[shape]}"


@DATASETS.register_module()
class SceneEdits(Dataset):
    """Scenes of one object, and another shape or colour that it shall have.

    Args:
        length: edits.
        what: 'shape' or 'colour'.
        seed: another one gives other scenes and wishes.

    Raises:
        ClipkitError: another `what`.
    """

    def __init__(self, length: int, what: str, seed: int = 0) -> None:
        if what not in ("shape", "colour"):
            raise ClipkitError(f'SceneEdits: what="{what}" is neither "shape" nor "colour"')
        self.length, self.what, self.seed = length, what, HELD_OUT + seed * SEED_STEP

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """`scene` a `SoftScenes` of one; `what`; `asked` what it shall be, and `base`, `to` in words."""
        scene = SoftScenes(1, seed=self.seed + index)
        was = {name: int(value) for name, value in scene.named(scene.start).items()}
        words = {"colour": len(COLOURS), "shape": len(SHAPES)}
        g = torch.Generator().manual_seed(self.seed + index)
        other = int(torch.randint(1, words[self.what], (), generator=g))
        asked = {**was, self.what: (was[self.what] + other) % words[self.what]}
        return {"scene": scene, "what": self.what, "asked": asked, "base": phrase(**was), "to": phrase(**asked)}


class _Editor(BaseModel):
    """One edit after the other; nothing is trained."""

    def __init__(self, clip: str | Mapping[str, Any], data_preprocessor: dict | None, init_cfg: dict | None) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.clip = FrozenCLIP.from_pretrained(**clip_options(clip))

    def edit(self, scene: SoftScenes, base: str, to: str) -> dict[str, Any]:
        raise NotImplementedError

    def forward(self, scene: list, what: list, asked: list, base: list, to: list, mode: str = "predict") -> list[dict]:
        """For each scene what an edit has become."""
        found = []
        with torch.enable_grad():
            for index in range(len(scene)):
                about = {"scene": scene[index], "what": what[index], "asked": asked[index], "to": to[index]}
                found.append({**about, **self.edit(scene[index], base[index], to[index]), "clip": self.clip})
        return found


@MODELS.register_module()
class StyleEditor(_Editor):
    """Edits in the latents of the world's own renderer.

    Args:
        clip: whose words count.
        way: 'optimise' (`edit_latents`), or 'direction': `global_direction` of other scenes' channels, as far as CLIP's
            loss finds it best of twelve strengths.
        keep, keep_weight, half, draws, restarts, jitter, jittered, steps, lr: of `edit_latents`.
        scenes, threshold: of `channel_directions` and `global_direction`.

    Raises:
        ClipkitError: another way.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] = "tiny_clip",
        way: str = "optimise",
        keep: str = "factors",
        keep_weight: float = 0.1,
        half: float = 0.1,
        draws: int = 60,
        restarts: int = 3,
        jitter: float = 1.5,
        jittered: Sequence[str] | None = None,
        steps: int = 40,
        lr: float = 0.1,
        scenes: int = 32,
        threshold: float = 0.1,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(clip, data_preprocessor, init_cfg)
        if way not in ("optimise", "direction"):
            raise ClipkitError(f'StyleEditor: way="{way}" is neither "optimise" nor "direction"')
        self.way, self.scenes, self.threshold = way, scenes, threshold
        self.options: dict[str, Any] = {
            "keep": keep, "keep_weight": keep_weight, "half": half, "draws": draws, "restarts": restarts,
            "jitter": jitter, "jittered": jittered, "steps": steps, "lr": lr,
        }  # fmt: skip
        self._channels: Tensor | None = None

    def edit(self, scene: SoftScenes, base: str, to: str) -> dict[str, Any]:
        """`latents` and `picture`."""
        if self.way == "optimise":
            edited = edit_latents(self.clip, scene, scene.start, to, base, **self.options)
            return {"latents": edited.latents, "picture": edited.picture}
        if self._channels is None:
            others = SoftScenes(self.scenes, seed=0)
            self._channels = channel_directions(self.clip, others, others.start)
        way = global_direction(self.clip, self._channels, scene.spread, to, base, self.threshold)
        latents = scene.start + torch.tensor(_STRENGTHS)[:, None] * way
        scene.clamp_(latents)
        with torch.no_grad():
            pictures = scene(latents)
            words = self.clip.encode_text([to]) - self.clip.encode_text([base])
            moved = self.clip.encode_image(pictures) - self.clip.encode_image(scene(scene.start))
            best = int((moved @ words[0] / (moved.square().sum(1) + 0.09).sqrt()).argmax())
        return {"latents": latents[best : best + 1], "picture": pictures[best : best + 1]}


@MODELS.register_module()
class PictureEditor(_Editor):
    """Edits of pictures, without latents of which something is known.

    Args:
        clip: whose words count.
        way: see `edit_picture`.
        generator: for 'vq': a folder, see `read_vq_model`.
        steps, lr, copies, keep_weight: of `edit_picture`.
    """

    def __init__(
        self,
        clip: str | Mapping[str, Any] = "tiny_clip",
        way: str = "fourier",
        generator: str | None = None,
        steps: int = 60,
        lr: float | None = None,
        copies: int = 4,
        keep_weight: float = 0.0,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(clip, data_preprocessor, init_cfg)
        self.options = {"way": way, "steps": steps, "lr": lr, "copies": copies, "keep_weight": keep_weight}
        self.generator = None if generator is None else read_vq_model(generator)

    def edit(self, scene: SoftScenes, base: str, to: str) -> dict[str, Any]:
        """`picture`."""
        picture, _ = edit_picture(self.clip, scene.scenes.images, to, base, model=self.generator, **self.options)
        return {"picture": picture}


@METRICS.register_module()
class EditsRight(BaseMetric):
    """Percent of edits. `named`: the CLIP in the loss says of the 96 names the asked one, which shows no more than
    that the loop works. And what is true of them:

    - with latents `right`, and `kept` of the other factors, the mean and each (`SoftScenes.kept`);
    - without `colour`: the mean colour of the object's pixels is nearest to that of the object painted in the asked
      colour, in the same light and texture, of the eight; and `outside`, the mean change of a channel of other pixels,
      0 to 1. A changed shape has other pixels: there `colour` is of those of the asked shape.

    With a judge, another network, `judged`: it names the asked shape; and `judged_before`: the scene's own.

    Args:
        judge: config of a model with `logits(pictures) -> (B, 12)`.
        judge_file: its checkpoint.
    """

    default_prefix = ""

    def __init__(self, judge: dict | None = None, judge_file: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.judge: Any = None
        if judge is not None and judge_file:
            self.judge = MODELS.build(judge).eval()
            self.judge.load_state_dict(load_checkpoint(judge_file)["state_dict"])

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Judges each edit."""
        for sample in data_samples:
            scene, asked, clip = sample["scene"], sample["asked"], sample["clip"]
            rows = clip.encode_text([phrase(c, s) for c in range(len(COLOURS)) for s in range(len(SHAPES))])
            guess = int((clip.encode_image(sample["picture"]) @ rows.T).argmax())
            out = {"named": float(guess == asked["colour"] * len(SHAPES) + asked["shape"])}
            if "latents" in sample:
                what = sample["what"]
                out["right"] = float(scene.named(sample["latents"])[what][0] == asked[what])
                kept = {name: float(value) for name, value in scene.kept(sample["latents"]).items() if name != what}
                out |= {"kept": sum(kept.values()) / len(kept), **{f"kept_{name}": v for name, v in kept.items()}}
            else:
                out |= _seen(scene, asked, sample["picture"])
            if self.judge is not None:
                both = torch.cat([sample["picture"], scene.scenes.images])
                with torch.no_grad():
                    now, before = self.judge.logits(both).argmax(1).tolist()
                out["judged"] = float(now == asked["shape"])
                out["judged_before"] = float(before == int(scene.scenes.shape[0, 0]))
            self.results.append(out)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Means over edits."""
        means = {name: sum(row[name] for row in results) / len(results) for name in results[0]}
        return {name: round(value if name == "outside" else 100 * value, 3) for name, value in means.items()}


@torch.no_grad()
def _seen(scene: SoftScenes, asked: Mapping[str, int], picture: Tensor) -> dict[str, float]:
    painted = scene.painted(asked["shape"])
    object_ = scene.mask(asked["shape"])
    either = object_ | scene.mask(int(scene.scenes.shape[0, 0]))
    mean = (picture * object_).sum((2, 3)) / object_.sum()
    known = (painted * object_).sum((2, 3)) / object_.sum()
    changed = (picture - scene.scenes.images).abs().mean(1)[~either]
    return {"colour": float(torch.cdist(mean, known).argmin() == asked["colour"]), "outside": float(changed.mean())}
