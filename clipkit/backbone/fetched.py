"""Whether a CLIP's weights are on this machine already, and where; and a word to the person who waits for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from open_clip.pretrained import get_pretrained_cfg

# Of the weights' own model cards; of any other the card must be asked.
_LICENCES = {"openai": "MIT", "laion": "MIT", "apple": "Apple's research licence", "timm": "see its model card"}


@dataclass(frozen=True)
class Weights:
    """Where a CLIP's weights come from.

    Attributes:
        address: of the repository, on the Hugging Face hub or what HF_ENDPOINT names instead.
        licence: as far as it is known without asking.
        path: of the file on this machine; None: it has not been fetched yet.
    """

    address: str
    licence: str
    path: Path | None


@contextmanager
def announced(name: str, pretrained: str | None) -> Iterator[None]:
    """Around a download, inside `clipkit.hub.downloading`: one line on stderr before it, of what comes from where, and
    one after it, of where it lies and how large it is. Nothing where it lies here already, or cannot be fetched."""
    from huggingface_hub import constants

    before = find_weights(name, pretrained)
    if before is None or before.path is not None or constants.HF_HUB_OFFLINE:
        yield
        return
    which = f"{name}:{pretrained}" if pretrained else name
    print(f"fetching {which} from {before.address} (licence: {before.licence}), once", file=sys.stderr, flush=True)
    yield
    after = find_weights(name, pretrained)
    if after is not None and after.path is not None:
        print(f"{after.path}: {after.path.stat().st_size / 2**20:.0f} MiB", file=sys.stderr, flush=True)


def find_weights(name: str, pretrained: str | None) -> Weights | None:
    """What is known of a name and tag, or of `hf-hub:owner/name`, without asking any server; None for local files, and
    for tags that do not lie on the hub."""
    if name.startswith("hf-hub:"):
        entry = name.removeprefix("hf-hub:") + "/"
    else:
        entry = (get_pretrained_cfg(name.replace("/", "-"), str(pretrained)) if pretrained else {}).get("hf_hub") or ""
    repository, filename = os.path.split(entry)
    if not repository:
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    wanted = [filename] if filename else ["open_clip_model.safetensors", "open_clip_pytorch_model.bin"]
    found = [try_to_load_from_cache(repository, file) for file in wanted]
    path = next((Path(file) for file in found if isinstance(file, str)), None)
    owner = str(pretrained) if pretrained == "openai" else repository.partition("/")[0]
    return Weights(f"{constants.ENDPOINT}/{repository}", _LICENCES.get(owner, "see its model card"), path)
