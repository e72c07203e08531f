"""ViLD on the GPU: each variant's losses are the CPU's on equal weights, and predictions come at the image's size."""

import pytest
import torch

from support.gpu_device import DEVICE, exact, gpu  # noqa: F401

pytest.importorskip("mmdet")

import clipkit.engine  # noqa: F401  isort: skip


from clipkit_plugins.vild import ViLD  # noqa: F401

from support import vild_parts as parts

pytestmark = gpu


@pytest.mark.parametrize("variant", ["text", "image", "vild", "ensemble"])
def test_losses_are_those_of_the_cpu(tmp_path, exact, variant):  # noqa: F811
    embeddings = parts.write_embeddings(tmp_path)
    model = parts.build(embeddings, variant=variant).eval()  # sampling is random: the distillation loss is not
    on_cpu = parts.losses(model, parts.batch())
    on_device = parts.losses(model.to(DEVICE), parts.batch())
    assert set(on_device) == set(on_cpu)
    if variant != "text":
        torch.testing.assert_close(on_device["loss_distill"].cpu(), on_cpu["loss_distill"], rtol=1e-4, atol=1e-5)
    sum(sum(v) if isinstance(v, list) else v for k, v in on_device.items() if "loss" in k).backward()
    model.set_labels(["unicorn", "blue star"])
    with torch.no_grad():
        found = model.test_step(parts.batch())[0].pred_instances
    assert found.bboxes.device.type == torch.device(DEVICE).type and found.masks.shape[1:] == (64, 64)


def test_an_online_teacher_is_on_the_model_s_device(exact):  # noqa: F811
    model = parts.build(None, text=dict(clip="tiny_shapes"), teacher=dict(crop_scales=(1.0, 1.5))).to(DEVICE)
    data = parts.batch()
    for sample in data["data_samples"]:
        del sample.teacher_regions
    assert parts.losses(model, data)["loss_distill"].item() > 0
