"""A model and a data set for tests of the engine: a few parameters, dropout, random augmentation, a normaliser that is
summed over ranks. Configs name this module by `custom_imports`."""

import os
import random
import sys

import numpy as np
import torch
import torch.distributed as dist
from mmengine.evaluator import BaseMetric
from mmengine.logging import MessageHub
from mmengine.model import BaseModel

from clipkit.engine.registry import DATASETS, METRICS, MODELS

CONFIG = """
custom_imports = dict(imports=['support.tiny_parts'])
model = dict(type='clipkit.TinyLinear', dim=6)
train_dataloader = dict(
    batch_size=4, num_workers=0, sampler=dict(type='ResumableInfiniteSampler'),
    dataset=dict(type='TinyPoints', length=22), collate_fn=dict(type='default_collate'))
train_cfg = dict(type='IterBasedTrainLoop', max_iters=24, val_interval=7)
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=0.05))
param_scheduler = [dict(type='PolyLR', by_epoch=False, begin=0, end=24)]
val_dataloader = test_dataloader = dict(
    batch_size=4, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='TinyPoints', length=8), collate_fn=dict(type='default_collate'))
val_cfg = test_cfg = dict()
val_evaluator = test_evaluator = dict(type='TinyMetric')
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=1, log_metric_by_epoch=False),
    checkpoint=dict(type='CheckpointHook', interval=3, save_best='error', rule='less'))
custom_hooks = [dict(type='EMAHook')]
"""


@DATASETS.register_module(force=True)
class TinyPoints:
    metainfo = {"classes": ("a", "b")}

    def __init__(self, length: int, noise: float = 0.1) -> None:
        self.length, self.noise = length, noise

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict:
        point = torch.sin(torch.arange(6, dtype=torch.float32) * (int(index) + 1))
        jitter = random.random() + np.random.rand() + torch.rand(()).item()
        return {"inputs": point + self.noise * jitter, "target": point.sum(), "weight": torch.tensor(1.0 + int(index))}


@MODELS.register_module(force=True)
class TinyLinear(BaseModel):
    def __init__(self, dim: int, dropout: float = 0.2, dump: str | None = None) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(dim, 1)
        self.dropout = torch.nn.Dropout(dropout)
        self.dump = dump
        torch.nn.init.constant_(self.layer.weight, 0.1)
        torch.nn.init.zeros_(self.layer.bias)
        self.labels = None

    def set_labels(self, vocabulary) -> None:
        self.labels = list(vocabulary.names)

    def forward(self, inputs, target, weight, mode="loss"):
        out = self.layer(self.dropout(inputs))[:, 0]
        if mode != "loss":
            return [{"out": a, "target": b, "labels": self.labels} for a, b in zip(out, target)]
        total, world = weight.sum(), 1
        if dist.is_initialized():
            world = dist.get_world_size()
            dist.all_reduce(total)
        # DDP averages over ranks; the weighted mean over the whole batch wants their sum
        return {"loss": world * (weight * (out - target) ** 2).sum() / total}

    def train_step(self, data, optim_wrapper):
        out = super().train_step(data, optim_wrapper)
        return out


@METRICS.register_module(force=True)
class TinyMetric(BaseMetric):
    def process(self, data_batch, data_samples) -> None:
        sys.audit("support.validates", MessageHub.get_current_instance().get_info("iter"))
        self.results += [abs(float(s["out"]) - float(s["target"])) for s in data_samples]
        self.labels = data_samples[0]["labels"]

    def compute_metrics(self, results) -> dict:
        return {"error": float(np.mean(results)), "labels": len(self.labels or ())}


if os.environ.get("TINY_SLOW_WRITE"):  # makes the moment of writing wide enough for a kill to hit it
    import time

    real_replace = os.replace

    def slow_replace(source, target):
        time.sleep(float(os.environ["TINY_SLOW_WRITE"]))
        real_replace(source, target)

    os.replace = slow_replace
