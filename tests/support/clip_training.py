"""A few steps of a CLIP's training, and what they changed."""

import torch

from support.backbone_models import photos, words


def state(module):
    return {key: value.clone() for key, value in module.state_dict().items()}


def train(clip, steps=2, parameters=None):
    chosen = parameters or [p for p in clip.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(chosen, lr=0.01, weight_decay=0.1)
    for _ in range(steps):
        image = clip.encode_image(photos(3, 3, 64, 64).to(clip.dtype))
        text = clip.encode_tokens(words([4], [5, 6], [7]))
        logits = clip.logit_scale_log.exp() * image @ text.T
        torch.nn.functional.cross_entropy(logits, torch.arange(3)).backward()
        optimizer.step()
        optimizer.zero_grad()


def changed(before, after):
    return {key for key in before if not torch.equal(before[key], after[key])}
