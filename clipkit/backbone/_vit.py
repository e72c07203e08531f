"""Vision transformers of open_clip and timm behind one view."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from clipkit.backbone._attention import OpenClipBlock, TimmBlock
from clipkit.backbone._dense import VARIANTS, dense_tokens
from clipkit.backbone._features import Features
from clipkit.backbone._stride import at_stride, check_stride
from clipkit.backbone._tower import ImageTower
from clipkit.backbone._video import add_time, join_frames, shift_tokens

CACHED_GRIDS = 16


class ViTTower(ImageTower):
    """The pass that both kinds share. Subclasses say how tokens are made, pooled and projected.

    Attributes:
        shift: divisor of `shift_tokens`, which runs before every block; 0: none.
        time: `(T, C)`, added to the patches of frame t, whose blocks then attend over all frames at once; or None.
    """

    shift = 0
    time: Tensor | None = None
    has_rope = False
    prefix = 1
    has_class_token = True
    token_pooled = True
    block_view: type[OpenClipBlock] | type[TimmBlock]

    def __init__(self, visual: Any, blocks: Any) -> None:
        super().__init__(visual)
        self.blocks = blocks
        self.depth = len(blocks)
        self.readable = self.block_view.readable(blocks[-1])
        self.variants = VARIANTS if self.readable else ("vanilla",)

    def embed(self, images: Tensor, stride: int | None = None) -> tuple[Tensor, tuple[int, int], Tensor | None]:
        """Tokens `(B, prefix + h·w, C)` before block 0, the grid `(h, w)`, the rotary table or None."""
        raise NotImplementedError

    def timed(self, x: Tensor) -> Tensor:
        """`x` with the time embedding, where there is one."""
        return x if self.time is None else add_time(x, self.frames, self.prefix, self.time)

    def shifted(self, x: Tensor) -> Tensor:
        """`x` with tokens of the neighbouring frames, where that is asked for."""
        return shift_tokens(x, self.frames, self.prefix, self.shift) if self.shift else x

    def drop_patches(self, x: Tensor) -> Tensor:
        """Patch dropout while training, where the model was configured with it; maps need all patches."""
        return x

    def run(self, layer: int, x: Tensor, rope: Tensor | None) -> Tensor:
        """The library's own block."""
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(self._block, layer, x, rope, use_reentrant=False)
        return self._block(layer, x, rope)

    def _block(self, layer: int, x: Tensor, rope: Tensor | None) -> Tensor:
        return self.blocks[layer](x) if rope is None else self.blocks[layer](x, rope=rope)

    @property
    def checkpointing(self) -> bool:
        raise NotImplementedError

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`(penultimate, embedding)` of tokens; of the class token alone where `token_pooled`."""
        raise NotImplementedError

    def project(self, tokens: Tensor) -> Tensor:
        """Final norm and projection, token by token: `(B, N, C)` to `(B, N, D)`."""
        raise NotImplementedError

    def __call__(
        self, images: Tensor, layers: Sequence[int] = (), dense: str | None = None, stride: int | None = None
    ) -> Features:
        if stride is not None:
            check_stride(stride, self.patch_size or 1)
        x, grid, rope = self.embed(images, None if stride == self.patch_size else stride)
        if self.time is not None:
            if layers or dense is not None:
                raise ValueError("a tower that joins the frames of a video gives embeddings only, no maps")
            x = join_frames(x, self.frames, self.prefix)
        if not layers and dense is None:
            x = self.drop_patches(x)
        kept: dict[int, Tensor] = {}
        last = self.depth - 1
        for layer in range(last):
            x = self.after(layer, self.run(layer, self.shifted(x), rope))
            if layer in layers:
                kept[layer] = x
        x, patches = self._last(self.shifted(x), grid, rope, last in layers, dense)
        if last in layers:
            kept[last] = x
        penultimate, embedding = self.pool(x)
        return Features(
            embedding=embedding,
            penultimate=penultimate,
            maps=[self._to_map(kept[layer][:, self.prefix :], grid) for layer in layers],
            cls=[kept[layer][:, 0] if self.has_class_token else kept[layer].mean(1) for layer in layers],
            strides=[stride or self.patch_size or 0] * len(layers),
            dense_map=None if patches is None else self._to_map(self.project(patches), grid),
        )

    def attention(self, images: Tensor) -> Tensor:
        """See `ClipModel.attention`."""
        if not all(self.block_view.readable(block) for block in self.blocks) or self.time is not None:
            return super().attention(images)
        x, grid, rope = self.embed(images)
        seen = []
        for layer in range(self.depth):
            view = self.block_view(self.blocks[layer])
            query, key = view.project(view.normed(x), "qk", rope)
            asks = query[:, :, :1] if self.has_class_token else query
            share = (asks @ key.transpose(-1, -2) * query.shape[-1] ** -0.5).softmax(-1)
            seen.append(share[..., self.prefix :].mean((1, 2)).unflatten(-1, grid))
            x = self.after(layer, self.run(layer, x, rope))
        return torch.stack(seen, 1)

    def _last(
        self, x: Tensor, grid: tuple[int, int], rope: Tensor | None, need_tokens: bool, dense: str | None
    ) -> tuple[Tensor, Tensor | None]:
        """The last block. Where only the class token is read, only its query attends: that saves most of the block,
        and pays for the dense map where one is asked for."""
        last = self.depth - 1
        whole = need_tokens or not self.token_pooled or dense == "vanilla" or not self.readable
        view = self.block_view(self.blocks[last]) if self.readable else None
        patches = None
        normed = view.normed(x) if view is not None and (dense not in (None, "vanilla") or not whole) else None
        if dense not in (None, "vanilla"):
            assert dense is not None and view is not None and normed is not None
            patches = self.after(last, dense_tokens(dense, view, x, normed, grid, self.prefix, rope))
        if whole:
            x = self.after(last, self.run(last, x, rope))
            if dense == "vanilla":
                patches = x[:, self.prefix :]
            return x, patches
        assert view is not None and normed is not None
        (query,) = view.project(normed[:, :1], "q")
        key, value = view.project(normed, "kv", rope)
        x = x[:, :1] + view.merge(F.scaled_dot_product_attention(query, key, value))
        return self.after(last, view.feedforward(x)), patches

    @staticmethod
    def _to_map(tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        return tokens.transpose(1, 2).unflatten(2, grid)


def resized_positions(table: Tensor, old: tuple[int, int], new: tuple[int, int], prefix: int) -> Tensor:
    """Position table `(1, prefix + h·w, C)` for another grid: bicubic with antialias, in float32. The sizes are given,
    never guessed: a grid of 7×28 has as many cells as one of 14×14."""
    return resample_abs_pos_embed(table, new_size=list(new), old_size=list(old), num_prefix_tokens=prefix)


def check_grid(images: Tensor, grid: tuple[int, int]) -> None:
    """Refuses images that hold not one patch."""
    if min(grid) < 1:
        height, width = images.shape[-2:]
        raise ValueError(f"images are {height}x{width} pixels, less than one patch")


class OpenClipViT(ViTTower):
    """open_clip's `VisionTransformer`."""

    block_view = OpenClipBlock

    def __init__(self, visual: Any) -> None:
        super().__init__(visual, visual.transformer.resblocks)
        size = visual.patch_size
        self.patch_size = size if isinstance(size, int) else int(size[0])
        pooled = visual.attn_pool is None
        self.token_pooled = pooled and visual.pool_type == "tok"
        if not pooled:
            self.no_dense = "its attentional pooler (CoCa) mixes all tokens before the projection to the text space"
        elif visual.pool_type not in ("tok", "avg"):
            self.no_dense = f"pool_type={visual.pool_type!r} gives no pooled embedding"

    @property
    def checkpointing(self) -> bool:
        return bool(self.visual.transformer.grad_checkpointing)

    def embed(self, images: Tensor, stride: int | None = None) -> tuple[Tensor, tuple[int, int], Tensor | None]:
        visual = self.visual
        old = (int(visual.grid_size[0]), int(visual.grid_size[1]))
        check_grid(images, (images.shape[-2] // visual.patch_size[0], images.shape[-1] // visual.patch_size[1]))
        x = visual.conv1(images) if stride is None else at_stride([visual.conv1], images, stride)
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        table = visual.positional_embedding
        if grid != old:
            table = resized_positions(table[None], old, grid, 1)[0]
        class_token = visual.class_embedding.to(x.dtype).expand(x.shape[0], 1, -1)
        x = torch.cat((class_token, x), dim=1) + table.to(x.dtype)
        return visual.ln_pre(self.timed(x)), grid, None

    def drop_patches(self, x: Tensor) -> Tensor:
        return self.visual.patch_dropout(x)

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        visual = self.visual
        if visual.attn_pool is not None or visual.pool_type not in ("tok", "avg"):
            pooled, _ = visual._pool(x)
        else:
            normed = x if visual.final_ln_after_pool else visual.ln_post(x)
            pooled = normed[:, 0] if visual.pool_type == "tok" else normed[:, 1:].mean(dim=1)
            pooled = visual.ln_post(pooled) if visual.final_ln_after_pool else pooled
        return pooled, pooled if visual.proj is None else pooled @ visual.proj

    def project(self, tokens: Tensor) -> Tensor:
        normed = self.visual.ln_post(tokens)
        return normed if self.visual.proj is None else normed @ self.visual.proj


class TimmViT(ViTTower):
    """timm's `VisionTransformer` (plain and with a convolutional stem) and `Eva`, in open_clip's `TimmModel`."""

    block_view = TimmBlock

    def __init__(self, visual: Any) -> None:
        self.trunk = trunk = visual.trunk
        super().__init__(visual, trunk.blocks)
        embed = trunk.patch_embed
        # The check is lifted because positions are resized here; timm does the same under `dynamic_img_size`.
        embed.strict_img_size = False
        self.old = (int(embed.grid_size[0]), int(embed.grid_size[1]))
        self.image_size = (int(embed.img_size[0]), int(embed.img_size[1]))
        self.patch_size = self.image_size[0] // self.old[0]
        self.prefix = int(trunk.num_prefix_tokens)
        self.has_class_token = trunk.cls_token is not None
        self.token_pooled = trunk.attn_pool is None and trunk.global_pool == "token"
        self.has_rope = getattr(trunk, "rope", None) is not None
        self._ropes: dict[tuple, Tensor] = {}
        if trunk.attn_pool is not None:
            self.no_dense = (
                "its MAP head pools the patches by attention with a learned query and there is no class token, so "
                "single patches have no path to the text space"
            )
        elif trunk.global_pool not in ("token", "avg", "max"):
            self.no_dense = f"its pooling {trunk.global_pool!r} has no per-patch form"

    @property
    def checkpointing(self) -> bool:
        return bool(self.trunk.grad_checkpointing)

    def embed(self, images: Tensor, stride: int | None = None) -> tuple[Tensor, tuple[int, int], Tensor | None]:
        trunk = self.trunk
        height, width = images.shape[-2:]
        check_grid(images, (height * self.old[0] // self.image_size[0], width * self.old[1] // self.image_size[1]))
        if stride is not None:
            x, grid = self._at_stride(self._whole_patches(images), stride)
        elif (x := trunk.patch_embed(self._whole_patches(images))).ndim == 4:  # NHWC, under timm's dynamic_img_size
            grid = (x.shape[1], x.shape[2])
            x = x.flatten(1, 2)
        else:
            rows, columns = trunk.patch_embed.dynamic_feat_size((height, width))
            grid = (int(rows), int(columns))
        table = trunk.pos_embed
        if table is not None and grid != self.old:
            table = resized_positions(table, self.old, grid, 0 if trunk.no_embed_class else self.prefix)
        front = [t.expand(x.shape[0], -1, -1) for t in (trunk.cls_token, trunk.reg_token) if t is not None]
        if table is not None and trunk.no_embed_class:
            x = x + table
        x = torch.cat([*front, x], dim=1) if front else x
        if table is not None and not trunk.no_embed_class:
            x = x + table
        return trunk.norm_pre(trunk.pos_drop(self.timed(x))), grid, self._rope(grid)

    def _at_stride(self, images: Tensor, stride: int) -> tuple[Tensor, tuple[int, int]]:
        embed = self.trunk.patch_embed
        parts = [part for part in (getattr(embed, "backbone", None), embed.proj) if part is not None]
        x = at_stride(parts, images, stride)
        tokens = x.flatten(2).transpose(1, 2)
        return getattr(embed, "norm", nn.Identity())(tokens), (x.shape[2], x.shape[3])

    def drop_patches(self, x: Tensor) -> Tensor:
        if getattr(self.trunk, "rope", None) is None or self.trunk.patch_drop is None or not self.trunk.training:
            out = x if self.trunk.patch_drop is None else self.trunk.patch_drop(x)
            return out[0] if isinstance(out, tuple) else out
        raise ValueError("patch dropout under rotary positions is not served: build the model without patch_dropout")

    def _whole_patches(self, images: Tensor) -> Tensor:
        """timm refuses a remainder where a convolution would drop it; drop it here, as open_clip's tower does."""
        if getattr(self.trunk.patch_embed, "dynamic_img_pad", False):
            return images
        patch_h, patch_w = self.image_size[0] // self.old[0], self.image_size[1] // self.old[1]
        height, width = images.shape[-2:]
        return images[..., : height - height % patch_h, : width - width % patch_w]

    def _rope(self, grid: tuple[int, int]) -> Tensor | None:
        rope = getattr(self.trunk, "rope", None)
        if rope is None:
            return None
        if getattr(self.trunk, "rope_mixed", False):
            raise ValueError("this tower mixes rotary tables by depth ('mixed' rope), which clipkit does not serve")
        if grid == self.old:
            return rope.get_embed(shape=list(grid))
        table = next(iter(rope.buffers()))
        key = (grid, table.device, table.dtype)
        if key not in self._ropes:
            other = copy.deepcopy(rope)  # the tower's own keeps the native grid
            other.update_feat_shape(list(grid))
            if len(self._ropes) >= CACHED_GRIDS:
                self._ropes.clear()
            self._ropes[key] = other.get_embed(shape=list(grid))
        return self._ropes[key]

    def pool(self, x: Tensor) -> tuple[Tensor, Tensor]:
        pooled = self.trunk.forward_head(self.trunk.norm(x), pre_logits=True)
        return pooled, self.visual.head(self.trunk.head(pooled))

    def project(self, tokens: Tensor) -> Tensor:
        normed = self.trunk.fc_norm(self.trunk.norm(tokens))
        return self.visual.head(self.trunk.head(normed))
