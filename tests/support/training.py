"""A training that a process of its own runs."""

import os
import time

import torch

from clipkit.engine.build import build_runner


def train(config, work_dir, environment=None, **options):
    """What a child process runs."""
    os.environ.update(environment or {})
    torch.set_num_threads(1)
    delay = float(os.environ.get("TINY_SLOW_WRITE", 0))
    if delay:  # widens the moment of writing, so that kills hit it
        real = os.replace

        def slow_replace(source, target):
            time.sleep(delay)
            real(source, target)

        os.replace = slow_replace
    build_runner(config, work_dir=work_dir, **options).train()
