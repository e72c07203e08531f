"""What FrozenCLIP and TunableCLIP share: an open_clip model, its normalisation, and one face for all towers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, TypeVar

import open_clip
import torch
import torch.nn.functional as F
from open_clip.transform import PreprocessCfg, image_transform_v2
from torch import Tensor, nn

from clipkit.backbone._build import build
from clipkit.backbone._choose_tower import choose_tower
from clipkit.backbone._dense import VARIANTS
from clipkit.backbone._features import Features
from clipkit.backbone._flat import without_excess
from clipkit.backbone._text import TextTower
from clipkit.backbone._tokenize import token_spans, tokenize
from clipkit.backbone._tokenizer_folder import own_tokenizer
from clipkit.backbone.pictures import Pictures, as_batch, check_range
from clipkit.hub import hub_reachable

Tokenizer = Callable[..., Tensor]
Model = TypeVar("Model", bound="ClipModel")


def unit_preprocess(config: Mapping[str, Any]) -> Callable[[Any], Tensor]:
    """`ClipModel.preprocess` of a configuration: `size`, `interpolation`, `resize_mode`."""
    config = {**config, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    transform = image_transform_v2(PreprocessCfg(**config), is_train=False)
    height, width = config["size"] if isinstance(config["size"], (list, tuple)) else (config["size"],) * 2
    mode, interpolation = config.get("resize_mode", "shortest"), config.get("interpolation", "bicubic")
    return partial(without_excess, transform, mode, (height, width), interpolation)


class ClipModel(nn.Module):
    """An open_clip model with clipkit's interface. Use `FrozenCLIP` or `TunableCLIP`.

    Args:
        model: an open_clip model (`CLIP`, `CustomTextCLIP`, `CoCa`), already on its device and in its precision. It is
            used as it is, not copied.
        name: what to call it in messages, caches and stores.
        dense: the dense variant of `features`, one of maskclip, sclip, clearclip, naclip, vanilla.
        tokenizer: `list[str] -> (N, L) int64`; default: the one open_clip has for `name`, built at first use.
        tokenizer_name: what to ask open_clip for instead of `name`.
        preprocess_cfg: open_clip's `mean`, `std`, `size`, `interpolation`, `resize_mode`; default: the model's own.
        model_cfg: open_clip's model configuration; `save_open_clip_folder` needs it.

    Raises:
        ValueError: `dense` is unknown, or this tower cannot give that variant.
    """

    _mean: Tensor
    _std: Tensor

    def __init__(
        self,
        model: Any,
        *,
        name: str = "custom",
        dense: str = "maskclip",
        tokenizer: Tokenizer | None = None,
        tokenizer_name: str = "",
        preprocess_cfg: Mapping[str, Any] | None = None,
        model_cfg: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if dense not in VARIANTS:
            raise ValueError(f"dense={dense!r} is unknown; known: {', '.join(VARIANTS)}")
        self.model: Any = model
        self.name = name
        self.dense_variant = dense
        self.model_cfg = dict(model_cfg) if model_cfg is not None else None
        self.preprocess_cfg = _preprocess_cfg(model, preprocess_cfg)
        self._tokenizer = tokenizer
        self._tokenizer_name = tokenizer_name or ("" if name == "custom" else name)
        self._tower = choose_tower(model.visual)
        self._text = TextTower(model)
        self._hash: tuple[int, str] | None = None
        self._checked = False  # whether a batch on an accelerator was in range
        if dense != "maskclip" and not self._tower.no_dense and dense not in self._tower.variants:
            known = ", ".join(self._tower.variants)
            raise ValueError(f"dense={dense!r}: the image tower of {name!r} can give only: {known}")
        self._set_normalisation(next(model.visual.parameters()).device, torch.float32)

    @classmethod
    def from_pretrained(
        cls: type[Model],
        name: str,
        pretrained: str | None = None,
        *,
        precision: str = "fp32",
        dense: str = "maskclip",
        tokenizer: Tokenizer | None = None,
        device: str | torch.device | None = None,
    ) -> Model:
        """Builds a model through open_clip's factory. Nothing in it asks for a gradient: `TunableCLIP.unfreeze` does.

        Args:
            name: open_clip's model name, `local-dir:/folder`, `hf-hub:owner/name`, or one that ships with clipkit,
                `tiny_clip` (also `tiny_shapes`) and `distance_clip`.
            pretrained: open_clip's tag, the path of a local weight file, or None for random weights.
            precision: 'fp32', 'bf16' or 'fp16'. Outputs come in this precision.
            dense: the dense variant of `features`.
            tokenizer: `list[str] -> (N, L) int64`, instead of the model's own.
            device: where to put it; default CPU.

        Raises:
            ValueError: unknown name, tag, precision or variant; weights of another activation (QuickGELU or GELU).
            FileNotFoundError: no such file or folder.
        """
        return cls(**build(name, pretrained, precision, device), dense=dense, tokenizer=tokenizer)

    # What it is ------------------------------------------------------------------------------------------------------

    @property
    def embed_dim(self) -> int:
        """D, the dimension of the shared space."""
        config_dim = (self.model_cfg or {}).get("embed_dim")
        if config_dim is not None:
            return int(config_dim)
        for owner, key in ((self.model.visual, "output_dim"), (self.model.visual, "embed_dim")):
            if isinstance(getattr(owner, key, None), int):
                return getattr(owner, key)
        projection = getattr(self._text.text, "text_projection", None)
        if projection is not None:
            return projection.out_features if isinstance(projection, nn.Linear) else projection.shape[1]
        return int(self._text.text.ln_final.weight.shape[0])

    @property
    def patch_size(self) -> int | None:
        """Pixels per token; None for towers without patches."""
        return self._tower.patch_size

    @property
    def image_size(self) -> tuple[int, int]:
        """Native `(h, w)`."""
        return self._tower.image_size

    @property
    def num_layers(self) -> int:
        """How many blocks or stages `features(layers=…)` can name."""
        return self._tower.depth

    @property
    def context_length(self) -> int:
        """Tokens a prompt may have, start and end of text included."""
        return int(getattr(self.model, "context_length", 0) or getattr(self._text.text, "context_length", 77))

    @property
    def logit_scale(self) -> float:
        """The model's `exp(logit_scale)`."""
        return float(self.model.logit_scale.detach().float().exp())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.model.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """What the image tower computes in: the dtype of its convolutions (norms may stay float32)."""
        for parameter in self.model.visual.parameters():
            if parameter.ndim == 4:
                return parameter.dtype
        return next(self.model.visual.parameters()).dtype

    @property
    def text_blocks(self) -> nn.ModuleList:
        """The text transformer's blocks, for initialisations that copy them."""
        return self._text.blocks

    @property
    def has_text_blocks(self) -> bool:
        """Whether the text tower is open_clip's own transformer, whose blocks and positions can be read."""
        return self._text.native

    @property
    def text_positions(self) -> Tensor:
        """The text transformer's position table `(context_length, W)`, for initialisations that copy it."""
        self._text.require_native("text_positions")
        return self._text.text.positional_embedding.detach()

    @property
    def preprocess(self) -> Callable[[Any], Tensor]:
        """PIL image to `(3, h, w)` float RGB in [0, 1]: the model's own resize and crop, **not** normalised."""
        return unit_preprocess(self.preprocess_cfg)

    @property
    def weights_hash(self) -> str:
        """sha256 over all tensors of the state dict in order of name: name, dtype, shape, bytes."""
        tensors = self._hashed_tensors()
        writes = self._count_writes(tensors)
        if self._hash is None or self._hash[0] != writes or writes < 0:
            digest = hashlib.sha256()
            for key, value in sorted(tensors.items()):
                whole = value.full_tensor() if hasattr(value, "full_tensor") else value  # of FSDP2's shards
                flat = whole.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
                digest.update(f"{key}|{value.dtype}|{tuple(value.shape)}|".encode())
                digest.update(flat.numpy().data)
            self._hash = writes, digest.hexdigest()
        return self._hash[1]

    # Images ----------------------------------------------------------------------------------------------------------

    def forward(self, images: Pictures, normalize: bool = True) -> Tensor:
        """As `encode_image`."""
        return self.encode_image(images, normalize)

    def encode_image(self, images: Pictures, normalize: bool = True) -> Tensor:
        """Images to `(B, D)`.

        Args:
            images: `(B, 3, H, W)` RGB, any size, float in [0, 1] or uint8; or one or several paths, PIL pictures or
                arrays `(H, W, 3)` uint8, which go through `preprocess`. Pixels at the right and lower border that fill
                no patch are not seen, as in open_clip.
            normalize: whether rows get length 1.

        Raises:
            ValueError: images of another kind, not in [0, 1], or of a size that this tower cannot take.
            FileNotFoundError, ClipkitError: a file is not there, or is no picture.
        """
        images = as_batch(images, self)
        with self._graph(images):
            embedding = self._tower(self._normalised(images)).embedding
            return F.normalize(embedding, dim=-1) if normalize else embedding

    def encode_frames(self, videos: Tensor, normalize: bool = False) -> Tensor:
        """Videos `(M, F, 3, H, W)`, float RGB in [0, 1], to their frames' embeddings `(M, F, D)`: what temporal heads
        take. Each frame is an image of its own unless a `TunableCLIP` was told otherwise; under `join_frames` a video
        has one embedding, `(M, 1, D)`.

        Raises:
            ValueError: videos of another shape.
        """
        if videos.ndim != 5:
            raise ValueError(f"videos must be (M, F, 3, H, W), got {tuple(videos.shape)}")
        with self._tower.of_videos(videos.shape[1]):
            embedding = self.encode_image(videos.flatten(0, 1), normalize)
        count = videos.shape[0]  # not `len`, which would fix it where this is traced
        return embedding.unflatten(0, (count, -1)) if count else embedding[:, None]

    def features(
        self, images: Pictures, layers: Sequence[int] = (), *, dense: bool = True, stride: int | None = None
    ) -> Features:
        """Everything that one pass gives; see `Features`. Nothing in it is normalised.

        Args:
            images: as for `encode_image`.
            layers: 0-based blocks (ViT) or stages (conv) whose maps are wanted; negative ones count from the end.
            dense: whether to compute the dense map.
            stride: pixels per map cell, a divisor of a vision transformer's `patch_size`, for maps that are finer than
                its own (the default) from the same weights: positions are resized; a convolutional stem is run à trous,
                a patch convolution of P pixels at this stride, its cell (i, j) centred at P/2 + stride · (i, j).

        Raises:
            ValueError: an unknown layer, `dense` of a tower that cannot give a dense map, or a stride that is no
                divisor; and as `encode_image`.
        """
        tower = self._tower
        if dense and (tower.no_dense or self.dense_variant not in tower.variants):
            reason = tower.no_dense or f"it has no plain attention in its last block for {self.dense_variant!r}"
            raise ValueError(f"{self.name!r} has no dense map: {reason}. features(..., dense=False) gives the rest")
        images = as_batch(images, self)
        with self._graph(images):
            variant = self.dense_variant if dense else None
            return tower(self._normalised(images), tower.resolve(layers), variant, stride)

    def attention(self, images: Pictures) -> Tensor:
        """Where each block of a vision transformer looks: `(B, layers, h, w)`, the share of the class token's attention
        that each patch gets, a mean over heads; of all tokens' where there is no class token.

        Args:
            images: as for `encode_image`.

        Raises:
            ValueError: another kind of tower; and as `encode_image`.
        """
        images = as_batch(images, self)
        with self._graph(images):
            return self._tower.attention(self._normalised(images))

    def pool_tokens(self, tokens: Tensor) -> Tensor:
        """Tokens `(N, 1 + P, C)` of the last block, the class token (`Features.cls`) before any patches, to `(N, D)`:
        the tower's own pooling, norm and projection, as if these patches were an image. Not normalised.

        Raises:
            ValueError: a tower that reads its class token alone, or that is no vision transformer.
        """
        tower = self._tower
        beside = getattr(tower, "has_class_token", False) and getattr(tower, "prefix", 0) == 1
        if getattr(tower, "token_pooled", True) or not beside:
            raise ValueError(f"pool_tokens: the image tower of {self.name!r} pools no patches beside a class token")
        with self._graph(tokens):
            return tower.pool(tokens.to(self.dtype))[1]  # type: ignore[attr-defined]

    # Text ------------------------------------------------------------------------------------------------------------

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """`(N, L)` int64 on the CPU. Prompts that do not fit are cut, with a warning that shows what was cut."""
        return tokenize(self._own_tokenizer(), [texts] if isinstance(texts, str) else texts, self.context_length)

    def token_spans(self, texts: Sequence[str]) -> Tensor:
        """`(N, L, 2)` int64: start and end of the characters that each token of `tokenize(texts)` stands for; 0, 0
        where it stands for none (start and end of text, padding).

        Raises:
            ValueError: the model has another tokenizer than CLIP's byte pairs.
        """
        tokenizer, length = self._own_tokenizer(), self.tokenize(texts).shape[1]
        out = torch.zeros(len(texts), length, 2, dtype=torch.int64)
        for row, text in zip(out, texts):
            spans = torch.tensor(token_spans(tokenizer, text)[: length - 2], dtype=torch.int64).view(-1, 2)
            row[1 : 1 + len(spans)] = spans
        return out

    def encode_text(self, texts: Sequence[str], normalize: bool = True) -> Tensor:
        """Prompts to `(N, D)`."""
        return self.encode_tokens(self.tokenize(texts), normalize)

    def encode_tokens(self, ids: Tensor, normalize: bool = True) -> Tensor:
        """Token ids `(N, L)` to `(N, D)`."""
        with self._graph():
            embedding = self._text.encode(ids.to(self.device))
            return F.normalize(embedding, dim=-1) if normalize else embedding

    def text_tokens(self, texts: Sequence[str], project: bool = True) -> Tensor:
        """Prompts to one vector a token, `(N, L, D)`: final norm and projection at every position, not normalised.
        Without `project` before the projection, `(N, L, W)`."""
        self._text.require_native("text_tokens")
        ids = self.tokenize(texts).to(self.device)
        with self._graph():
            states = self._text.run(self._text.embed(ids))
            return self._text.project(states) if project else states

    def embed_tokens(self, ids: Tensor) -> Tensor:
        """Token ids `(N, L)` to the embeddings `(N, L, W)` that `encode_embeddings` takes."""
        with self._graph():
            return self._text.embed(ids.to(self.device))

    def eot_index(self, ids: Tensor) -> Tensor | None:
        """Token ids `(N, L)` to the place of the token whose state is the sentence's, `(N,)`, as `encode_embeddings`
        wants it; None where the text tower pools the first or the last position."""
        self._text.require_native("eot_index")
        return self._text.eot(ids)

    def encode_embeddings(
        self, token_embeddings: Tensor, eot_index: Tensor | None = None, normalize: bool = True
    ) -> Tensor:
        """Token embeddings `(N, L, W)`, e.g. soft prompts between real words, to `(N, D)`; gradients flow to them.

        Args:
            token_embeddings: without positions, as `embed_tokens` gives them; L up to `context_length`.
            eot_index: `(N,)` position of the end-of-text token, which carries the sentence (CoOp, section 3.2).
            normalize: whether rows get length 1.
        """
        self._text.require_native("encode_embeddings")
        with self._graph(token_embeddings):
            x = self._text.pool(self._text.run(token_embeddings), eot_index)
            embedding = self._text.project(x)
            return F.normalize(embedding, dim=-1) if normalize else embedding

    # Inside ----------------------------------------------------------------------------------------------------------

    def _graph(self, *inputs: Tensor) -> AbstractContextManager:
        """Under which autograd mode a pass over these inputs runs."""
        raise NotImplementedError

    def _count_writes(self, tensors: Mapping[str, Tensor]) -> int:
        """A number that changes when a tensor is written to, so that the hash can be kept; -1: never keep it."""
        raise NotImplementedError

    def _hashed_tensors(self) -> dict[str, Tensor]:
        return self.model.state_dict()

    def _own_tokenizer(self) -> Tokenizer:
        if self._tokenizer is None:
            self._text.require_text()
            self._tokenizer = self._default_tokenizer()
        return self._tokenizer

    def _default_tokenizer(self) -> Tokenizer:
        text_cfg = (self.model_cfg or {}).get("text_cfg", {})
        wanted = text_cfg.get("hf_tokenizer_name", "")
        name, length = self._tokenizer_name, self.context_length
        if name.startswith("local-dir:"):
            return own_tokenizer(name, text_cfg, length)
        never = {"trust_remote_code": False} if wanted else {}  # CLIP's own tokenizer has no such argument
        try:
            if wanted and not hub_reachable():
                from transformers import AutoTokenizer

                AutoTokenizer.from_pretrained(wanted, local_files_only=True, **never)
            if name.startswith("hf-hub:"):
                return own_tokenizer(name, text_cfg, length)
            return open_clip.get_tokenizer(name, context_length=length, **never)
        except Exception as error:
            kind = f"the Hugging Face tokenizer {wanted!r}" if wanted else "a tokenizer"
            raise ValueError(
                f"{self.name!r} wants {kind}, which is not on this machine and not to be reached: pass tokenizer=, or "
                "run once with a network; the image side works without"
            ) from error

    def _normalised(self, images: Tensor) -> Tensor:
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"images must be float RGB in [0, 1] of shape (B, 3, H, W), not {images.dtype} {tuple(images.shape)}"
            )
        # An accelerator would have to be waited for each time; who forgets to divide by 255 forgets it at once.
        if not torch.compiler.is_compiling() and (images.device.type == "cpu" or not self._checked):
            check_range(images)
            self._checked = True
        return ((images.to(self._mean.dtype) - self._mean) / self._std).to(self.dtype)

    def _set_normalisation(self, device: torch.device, dtype: torch.dtype) -> None:
        for key in ("mean", "std"):
            value = torch.tensor(self.preprocess_cfg[key], dtype=dtype, device=device).view(1, 3, 1, 1)
            self.register_buffer(f"_{key}", value, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ClipModel:
        super()._apply(fn, recurse)
        self._hash = None
        # Half precision must not reach mean and std, and double must not inherit their float32 rounding.
        wide = torch.float64 if self._mean.dtype == torch.float64 else torch.float32
        self._set_normalisation(self._mean.device, wide)
        return self

    def extra_repr(self) -> str:
        return f"{self.name!r}, dense={self.dense_variant!r}, embed_dim={self.embed_dim}, image_size={self.image_size}"


def _preprocess_cfg(model: Any, given: Mapping[str, Any] | None) -> dict[str, Any]:
    visual = model.visual
    config = dict(getattr(visual, "preprocess_cfg", None) or {})
    for key in ("mean", "std"):
        if getattr(visual, f"image_{key}", None) is not None:
            config.setdefault(key, getattr(visual, f"image_{key}"))
    config.update(given or {})
    defaults = PreprocessCfg()
    config.setdefault("size", getattr(visual, "image_size", defaults.size))
    config.setdefault("mean", defaults.mean)
    config.setdefault("std", defaults.std)
    known = {key: value for key, value in config.items() if key in PreprocessCfg.__dataclass_fields__}
    return {key: tuple(value) if isinstance(value, list) else value for key, value in known.items()}
