"""A two-stage detector as a graph: boxes, and what each word says of them, before the last suppression."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import torchvision  # noqa: F401  (registers torch.ops.torchvision)
from torch import Tensor

from clipkit.engine.traps import normalises, swaps_channels
from clipkit.errors import ClipkitError
from clipkit.export.graphs import BATCH, PictureGraph, coloured

SAME = 1e-3  # of the picture's side: boxes nearer to each other than this are one box


class RegionGraph(PictureGraph):
    """ViLD: pictures, which lie in the upper left corner of their arrays, to boxes and cosines.

    The number of boxes of a picture is fixed, `test_cfg.rpn.max_per_img`, so that a batch has one shape: where the
    suppression leaves fewer, what it took out fills up, with an objectness of -1.

    Outputs: `scores` `(B, R, P)`, cos(box, row); `boxes` `(B, P, 4)`, x1 y1 x2 y2 in pixels of the array; `objectness`
    `(B, P)` in [0, 1], or -1; `background` `(B, P)`, a cosine that competes with the scores, where the model has one;
    for an ensemble its second head's `image_scores`, and `image_background` where that has one.

    Args:
        model: a `ViLD`, in eval mode.
        size: height and width of the arrays.

    Raises:
        ClipkitError: its RPN or its regions are of a kind that has no form here.
    """

    def __init__(self, model: Any, size: tuple[int, int], multiple: int) -> None:
        super().__init__(model.text.embed_dim, None, multiple)
        self.inputs = ("pictures", "sides", "text")
        self.model, self.array = model, size
        self.proposals = model.rpn_head.test_cfg
        self.most = int(self.proposals["max_per_img"])
        self._require(model)
        classifier = model.classifier
        keeps = classifier.image_background == "keep"
        asked = {
            "background": classifier.variant != "image" or keeps,
            "image_scores": classifier.variant == "ensemble",
            "image_background": classifier.variant == "ensemble" and keeps,
        }
        self.outputs = ("scores", "boxes", "objectness", *(name for name, is_there in asked.items() if is_there))

    def _require(self, model: Any) -> None:
        head, name = model.rpn_head, type(model).__name__
        if self.proposals["nms"].get("type", "nms") != "nms" or not head.use_sigmoid_cls or head.num_classes != 1:
            raise ClipkitError(f"{name}: its RPN must have sigmoids of one class, and `nms` between boxes")
        if getattr(model.roi_head, "with_shared_head", False):
            raise ClipkitError(f"{name}: a shared head of its regions is not exported")

    def forward(self, pictures: Tensor, sides: Tensor, text: Tensor) -> tuple[Tensor, ...]:
        """`(B, H, W, 3)` uint8, `(B, 2)` height and width that the picture has of them, `(R, D)`."""
        maps = self.model.extract_feat(self.normalised(pictures, sides))
        boxes, objectness = self._propose(maps, sides)
        count, most = objectness.shape
        owner = torch.arange(count, device=boxes.device).to(boxes)[:, None].expand(-1, most)
        regions = self._pool(maps, torch.cat([owner[..., None], boxes], 2).flatten(0, 1))
        head = self.model.roi_head.bbox_head
        embedding, deltas = head(regions)
        moved = head.bbox_coder.decode(boxes.flatten(0, 1), deltas.float()).unflatten(0, (count, most))
        by_text, by_image = embedding.split([self.dim, embedding.shape[1] - self.dim], 1)
        background = self.model.classifier.background_row()
        found = {
            "scores": lambda: _cosines(by_text, text, count),
            "boxes": lambda: _inside(moved, sides),
            "objectness": lambda: objectness,
            "background": lambda: _cosines(by_text, background, count)[:, 0],
            "image_scores": lambda: _cosines(by_image, text, count),
            "image_background": lambda: _cosines(by_image, background, count)[:, 0],
        }
        return tuple(found[name]() for name in self.outputs)

    def normalised(self, pictures: Tensor, sides: Tensor) -> Tensor:
        """As the model's preprocessor would give them, padded by 0."""
        prep = self.model.data_preprocessor
        images = 255 * self.read(pictures)
        images = images if swaps_channels(prep) else images.flip(1)  # files are read as BGR
        images = (images - prep.mean) / prep.std if normalises(prep) else images
        rows, columns = (torch.arange(side, device=images.device) for side in self.array)
        inside = (rows[:, None] < sides[:, 0, None, None]) & (columns < sides[:, 1, None, None])
        return images * inside[:, None]

    def _propose(self, maps: Any, sides: Tensor) -> tuple[Tensor, Tensor]:
        """Boxes `(B, P, 4)` and their objectness `(B, P)`, best first."""
        head, rule = self.model.rpn_head, self.proposals
        logits, deltas = head(maps)
        priors = head.prior_generator.grid_priors([one.shape[-2:] for one in logits], device=logits[0].device)
        boxes, points, levels = [], [], []
        for level, (anchors, own, moves) in enumerate(zip(priors, logits, deltas)):
            objectness = own.permute(0, 2, 3, 1).flatten(1).sigmoid()
            moves = moves.permute(0, 2, 3, 1).reshape(own.shape[0], -1, 4)
            anchors = anchors.expand(own.shape[0], -1, -1)
            if 0 < rule.get("nms_pre", -1) < objectness.shape[1]:
                objectness, best = objectness.topk(rule["nms_pre"])
                moves, anchors = (one.gather(1, best[..., None].expand(-1, -1, 4)) for one in (moves, anchors))
            decoded = head.bbox_coder.decode(anchors.reshape(-1, 4), moves.reshape(-1, 4))
            boxes.append(decoded.unflatten(0, objectness.shape))
            points.append(objectness)
            levels.append(torch.full(objectness.shape, level, device=objectness.device))
        found, objectness = _inside(torch.cat(boxes, 1), sides), torch.cat(points, 1)
        least = rule.get("min_bbox_size", -1)
        if least >= 0:
            large = ((found[..., 2:] - found[..., :2]) > least).all(-1)
            objectness = torch.where(large, objectness, -1.0)
        kept = self._suppress(found, objectness, torch.cat(levels, 1), len(priors))
        objectness = torch.where(kept, objectness, -1.0)
        missing = self.most - objectness.shape[1]
        if missing > 0:
            objectness, found = F.pad(objectness, (0, missing), value=-1.0), F.pad(found, (0, 0, 0, missing))
        objectness, best = objectness.topk(self.most)
        return found.gather(1, best[..., None].expand(-1, -1, 4)), objectness

    def _suppress(self, boxes: Tensor, objectness: Tensor, levels: Tensor, count: int) -> Tensor:
        """Which boxes stay `(B, N)`: those of one level of one picture compete, as each such group is moved to a place
        of its own."""
        group = levels + count * torch.arange(boxes.shape[0], device=boxes.device)[:, None]
        apart = boxes + (group * (max(self.array) + 1.0))[..., None]
        iou = float(self.proposals["nms"]["iou_threshold"])
        kept = torch.ops.torchvision.nms(apart.reshape(-1, 4), objectness.reshape(-1), iou)
        flat = torch.zeros_like(objectness, dtype=torch.int64).reshape(-1)
        return flat.index_fill(0, kept, 1).reshape(objectness.shape).bool()

    def _pool(self, maps: Any, rois: Tensor) -> Tensor:
        """`(n, 5)` -> `(n, C, h, w)`, each box from its level. On the others it is empty, which costs a few samples."""
        extractor = self.model.roi_head.bbox_roi_extractor
        maps = maps[: extractor.num_inputs]
        level = extractor.map_roi_levels(rois, len(maps))
        pooled: Any = 0
        for place, (own, layer) in enumerate(zip(maps, extractor.roi_layers)):
            here = (level == place)[:, None]
            high, wide = layer.output_size
            regions = torch.ops.torchvision.roi_align(
                own.float(), torch.where(here, rois, F.pad(rois[:, :1], (0, 4))), layer.spatial_scale, high, wide,
                layer.sampling_ratio, layer.aligned,
            )  # fmt: skip
            pooled = torch.where(here[..., None, None], regions, pooled)
        return pooled

    def example(self, seed: int) -> tuple[Tensor, ...]:
        (high, wide), share = self.array, 1 - (seed % 4) / 8  # of its array that the second picture fills
        sides = torch.tensor([[high, wide], [int(high * share), int(wide * share)]], dtype=torch.float32)
        return coloured(BATCH, high, wide, seed), sides, self.rows(seed)

    def axes(self) -> tuple[dict[int, Any], ...]:
        free = torch.export.Dim.DYNAMIC
        return {0: free}, {0: free}, {0: free}

    def align(self, wanted: list[Tensor], found: list[Tensor]) -> tuple[list[Tensor], list[Tensor], int]:
        """Both with the same boxes in the same order, boxes as shares of the longer side; and how many have no partner:
        where two boxes are as good as each other, rounding decides which one stays."""
        places: list[tuple[Tensor, Tensor]] = []
        alone = 0
        for own, other, mine, theirs in zip(wanted[1], found[1], wanted[2] >= 0, found[2] >= 0):
            first, second = mine.nonzero()[:, 0], theirs.nonzero()[:, 0]
            if len(first) == 0 or len(second) == 0:
                alone += len(first) + len(second)
                continue
            near, partner = (torch.cdist(own[first], other[second], p=1) / max(self.array)).min(1)
            paired = near < SAME
            alone += int((~paired).sum()) + abs(len(second) - len(first))
            places.append((first[paired], second[partner[paired]]))
        return self._taken(wanted, [first for first, _ in places]), self._taken(found, [s for _, s in places]), alone

    def _taken(self, outputs: list[Tensor], places: list[Tensor]) -> list[Tensor]:
        taken = []
        for name, output in zip(self.outputs, outputs):
            rows = output.transpose(1, 2) if output.ndim == 3 and name != "boxes" else output
            flat = torch.cat([one[own] for one, own in zip(rows, places)] or [rows.flatten(0, 1)[:0]])
            taken.append(flat / max(self.array) if name == "boxes" else flat)
        return taken


def _inside(boxes: Tensor, sides: Tensor) -> Tensor:
    """`(B, N, 4)` within pictures of height and width `(B, 2)`."""
    limits = sides.flip(1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limits.to(boxes))


def _cosines(embedding: Tensor, rows: Tensor, count: int) -> Tensor:
    """Of `count` pictures' boxes: `(B P, D)` and rows of length 1 `(R, D)` -> `(B, R, P)`."""
    cosines = F.normalize(embedding.float(), dim=-1) @ rows.float().T
    return cosines.unflatten(0, (count, -1)).transpose(1, 2)
