"""LSeg with a text encoder that learns: the arm that claim C14 compares with the frozen one."""

import torch.nn.functional as F
from clipkit_plugins.lseg.model import LSeg
from torch import Tensor

from clipkit.backbone import TunableCLIP
from clipkit.engine.registry import MODELS
from clipkit.errors import ClipkitError
from clipkit.text import TextBank
from clipkit.text.templates import fill


@MODELS.register_module()
class TunedTextLSeg(LSeg):
    """LSeg whose text tower trains with the image side. The paper keeps it frozen (Li et al., ICLR 2022, section 3.1),
    so that names it never trained on keep their places among those that it did.

    The training names are encoded in every step, in the first template; labels are encoded anew before a prediction
    that follows a step. Give the text its own rate by `optim_wrapper.paramwise_cfg.custom_keys={'text.clip': …}`.
    """

    label_chunks = "classes"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if self.text.clip is None or self.text.whitening is not None:
            raise ClipkitError("TunedTextLSeg trains a CLIP's text tower: it needs text=dict(clip=...), without whiten")
        self.text.clip = TunableCLIP.copy_of(self.text.clip).unfreeze("text")
        self.text.bank = TextBank(self.text.clip, progress=False)
        names = [self.classes[i] for i in self.named if int(self.train_lookup[i]) != self.train_ignore]
        self.tokens = self.text.clip.tokenize([fill(self.text.templates[0], name) for name in names])
        self._wanted = None
        self._stale = True

    def set_labels(self, labels=None) -> tuple[str, ...]:
        """As `LSeg.set_labels`; remembered, because the rows of the same words change with training."""
        self._wanted = labels
        return super().set_labels(labels)

    def loss(self, inputs: Tensor, data_samples: list) -> dict[str, Tensor]:
        """LSeg's loss, with gradients into the text tower."""
        self._stale = True
        with self._autocast(inputs.device):
            rows = self.text.clip.encode_tokens(self.tokens)
        self.train_text = F.normalize(rows.float(), dim=-1)
        return super().loss(inputs, data_samples)

    def predict(self, inputs: Tensor, data_samples=None) -> list:
        """LSeg's prediction with the text tower as it is now."""
        if self._stale:
            self.own_labels = self.encode_labels([self.classes[i] for i in self.named])
            self.set_labels(self._wanted)
            self._stale = False
        return super().predict(inputs, data_samples)

    def _load_from_state_dict(self, *args, **kwargs) -> None:
        self._stale = True
        super()._load_from_state_dict(*args, **kwargs)
