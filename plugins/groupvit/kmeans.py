"""Segments without learning: k-means of an image's tokens, as what learned groups are compared with."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.structures import PixelData
from torch import Tensor, nn

from clipkit.adapters import to_whole_patches
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.nn import Mlp, TransformerBlock
from clipkit.segmentation.text_segmentor import TextSegmentor

ROUNDS = 12


@torch.no_grad()
def kmeans(tokens: Tensor, clusters: int, rounds: int = ROUNDS) -> Tensor:
    """Spherical k-means of each image's tokens (B, N, C) -> cluster ids (B, N), the same each time: the first centre is
    the token most like the mean, each next one the token least like all before; then `rounds` of Lloyd's."""
    x = F.normalize(tokens.float(), dim=-1)
    rows = torch.arange(len(x), device=x.device)
    first = (x @ x.mean(1)[..., None]).squeeze(2).argmax(1)
    chosen = [x[rows, first]]
    nearest = (x @ chosen[0][..., None]).squeeze(2)
    for _ in range(clusters - 1):
        chosen.append(x[rows, nearest.argmin(1)])
        nearest = torch.maximum(nearest, (x @ chosen[-1][..., None]).squeeze(2))
    centres = torch.stack(chosen, dim=1)
    for _ in range(rounds):
        member = F.one_hot((x @ centres.transpose(1, 2)).argmax(2), clusters).to(x)
        total = member.transpose(1, 2) @ x
        centres = torch.where(member.sum(1)[..., None] > 0, F.normalize(total, dim=-1), centres)  # empty ones stay
    return (x @ centres.transpose(1, 2)).argmax(2)


def clusters_for_groups(what: Tensor, groups: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """As many clusters of the cells' features `what` (B, N, C) in the place of groups (B, G, D) with maps (B, G, h, w):
    a cluster's embedding is the mean over its cells of the groups' that they belong to."""
    count = groups.shape[1]
    member = F.one_hot(kmeans(what, count), count).to(groups).transpose(1, 2)
    shares = member @ maps.flatten(2).transpose(1, 2) / member.sum(2, keepdim=True).clamp(min=1)
    return shares @ groups, member.unflatten(2, maps.shape[2:])


@MODELS.register_module()
class KMeansEncoder(nn.Module):
    """Segments by k-means of the tokens as they come, named like GroupViT's: each is the mean of its tokens, then an
    MLP and blocks over the segments. There is nothing to assign; only naming is learned.

    Args:
        dim, heads, depth: of the blocks.
        clusters: segments an image.
        cache: keep the clusters of training images, as `FrozenTokens` does its tokens.
    """

    needs_seen = True

    def __init__(self, dim: int, heads: int, depth: int = 2, clusters: int = 8, cache: bool = False) -> None:
        super().__init__()
        self.dim, self.segments, self.cache = dim, clusters, cache
        self.norm_in, self.mlp = nn.LayerNorm(dim), Mlp(dim, 4 * dim)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self._kept: dict[str, Tensor] = {}

    def forward(self, x: Tensor, seen: Tensor, names: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
        """`x` (B, N, d) to pool and `seen` (B, N, C) to cluster -> segments (B, K, d) and members (B, N, K)."""
        member = F.one_hot(self._ids(seen, names), self.segments).to(x)
        segments = member.transpose(1, 2) @ x / member.sum(1)[..., None].clamp(min=1)
        segments = segments + self.mlp(self.norm_in(segments))
        for block in self.blocks:
            segments = block(segments)
        return self.norm(segments), member

    def _ids(self, seen: Tensor, names: Sequence[str] | None) -> Tensor:
        if names is None or not self.cache:
            return kmeans(seen, self.segments)
        if any(name not in self._kept for name in names):
            for name, ids in zip(names, kmeans(seen, self.segments).to(torch.uint8)):
                self._kept.setdefault(name, ids.clone())
        return torch.stack([self._kept[name] for name in names]).long()


@MODELS.register_module()
class KMeansCLIP(TextSegmentor):
    """Nothing trains: k-means of a frozen CLIP's tokens, each cluster named as if it were an image of its own, by the
    tower's own pooling over its tokens. `clipkit test CONFIG none`.

    Args:
        classes, test_cfg, precision, data_preprocessor: see `TextSegmentor`.
        text: `dict(clip=...)`, of a CLIP that pools over its patches (not by a class token).
        clusters: segments an image.
        stride: pixels per token, see `FrozenCLIP.features`.
        colours: cluster the mean colours of the cells, in place of the tokens.

    Raises:
        ClipkitError: `text` has no CLIP.
    """

    label_chunks = "classes"

    def __init__(
        self,
        classes: str | Sequence[str],
        text: dict,
        clusters: int = 8,
        stride: int | None = None,
        colours: bool = False,
        test_cfg: dict | None = None,
        precision: str = "auto",
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        if "clip" not in text:
            raise ClipkitError("KMeansCLIP needs text=dict(clip=...): embeddings from a file hold no image tower")
        super().__init__(classes, text, test_cfg, precision, data_preprocessor, init_cfg)
        self.clusters, self.stride, self.colours = clusters, stride, colours
        self.winners: Tensor | None = None

    def scale(self) -> float:
        """The CLIP's own factor."""
        return self.text.clip.logit_scale

    def extract_feat(self, inputs: Tensor) -> Tensor:
        """`inputs` (B, 3, H, W) -> each pixel's cluster in the text's space (B, D, H, W), not normalised."""
        clip = self.text.clip
        images = to_whole_patches(self._unit_range(inputs), clip.patch_size)
        with self._autocast(inputs.device):
            seen = clip.features(images, (-1,), dense=False, stride=self.stride)
        grid = seen.maps[0].shape[2:]
        tokens = seen.maps[0].float().flatten(2).transpose(1, 2)
        what = F.adaptive_avg_pool2d(images, grid).flatten(2).transpose(1, 2) if self.colours else tokens
        ids = kmeans(what, self.clusters)
        embedded = torch.stack([self._names(*one) for one in zip(tokens, seen.cls[0].float(), ids)])
        maps = F.one_hot(ids, self.clusters).transpose(1, 2).to(tokens).unflatten(2, tuple(grid))
        self.winners = F.interpolate(maps, size=inputs.shape[-2:], mode="bilinear", align_corners=False).argmax(1)
        return torch.stack([one.T[:, won] for one, won in zip(embedded, self.winners)])

    def _names(self, tokens: Tensor, cls: Tensor, ids: Tensor) -> Tensor:
        """Each cluster's tokens of (N, C) as an image's: (K, D); those of a cluster without tokens are the whole's."""
        rows = []
        for cluster in range(self.clusters):
            own = tokens[ids == cluster]
            rows.append(self.text.clip.pool_tokens(torch.cat([cls[None], own if len(own) else tokens])[None]))
        return torch.cat(rows).float()

    def predict(self, inputs: Tensor, data_samples=None) -> list:
        """`TextSegmentor.predict`, and `pred_groups`, the cluster of each pixel of the input."""
        samples = super().predict(inputs, data_samples)
        if self.test_cfg["mode"] == "whole" and self.winners is not None:
            for sample, winners in zip(samples, self.winners):
                sample.set_data({"pred_groups": PixelData(data=winners[None])})
        return samples

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """There is none."""
        raise ClipkitError("KMeansCLIP has nothing to train; test it: clipkit test CONFIG none")
