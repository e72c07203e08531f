"""What a predictor was opened from, and how it is given away; see `clipkit.bundle`."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from clipkit.errors import ClipkitError


class Origin(NamedTuple):
    """Attributes:
    cfg: the whole config that the model was built by.
    checkpoint: file that its weights are from; None of a model that trains nothing, and of a bundle's.
    labels: the model's own, before others were set.
    records: of the bundle that it is from, see `clipkit.bundle.Records`; None: those of the checkpoint's folder.
    """

    cfg: Any
    checkpoint: Path | None
    labels: tuple[str, ...]
    records: Any = None


class Shared:
    """`save_pretrained` and `push_to_hub` of a predictor.

    The names are those of huggingface_hub's `ModelHubMixin`, which is not used: it keeps the arguments of a
    constructor, and that of a predictor takes a model.
    """

    model: Any
    origin: Origin | None = None
    hub_task = ""
    """The hub's word for what it does, '' where it has none."""

    def save_pretrained(self, folder: str | Path, *, licence: str | None = None) -> Path:
        """Writes a bundle, see `clipkit.bundle.save_bundle`; returns the folder.

        Args:
            folder: must not exist.
            licence: for the card, as the hub writes it ('apache-2.0'); None: the card says that nobody has said one.

        Raises:
            ClipkitError: the folder exists; the model was not opened by `load` or `from_pretrained`; its config holds
                what a bundle may not.
        """
        from clipkit.bundle import read_records, save_bundle

        if self.origin is None:
            raise ClipkitError(
                f"{type(self).__name__}: made of a model without its config: open it by load(…) to save it"
            )
        cfg, checkpoint, labels, records = self.origin
        return save_bundle(
            self.model,
            cfg,
            folder,
            records=records or read_records(checkpoint, labels),
            predictor=f"{type(self).__module__}.{type(self).__name__}",
            tag=self.hub_task,
            licence=licence,
        )

    def push_to_hub(self, repository: str, *, licence: str | None = None, **options: Any) -> str:
        """Uploads a bundle to Hugging Face; returns the commit's address.

        Args:
            repository: `owner/name`; made where there is none.
            licence: see `save_pretrained`.
            options: `private`, `revision`, `message`, `token`, see `clipkit.bundle.push_bundle`.

        Raises:
            ClipkitError: as `save_pretrained`; the hub refused, or does not answer.
        """
        from clipkit.bundle import push_bundle

        with tempfile.TemporaryDirectory() as aside:
            folder = self.save_pretrained(Path(aside) / repository.rpartition("/")[2], licence=licence)
            return push_bundle(folder, repository, **options)
