"""The generator on the GPU draws the CPU's scenes."""

import pytest
import torch

from clipkit.shapes import STYLES, render
from support.gpu_device import DEVICE, gpu

pytestmark = gpu


@pytest.mark.parametrize("style", STYLES)
def test_scenes_equal_the_cpus_up_to_edges(style):
    options = dict(size=72, seed=5, style=style)
    here, there = render(24, **options), render(24, device=DEVICE, **options)
    assert there.images.device.type == torch.device(DEVICE).type
    for name in ("shape", "colour", "texture", "stuff", "present"):
        assert torch.equal(getattr(there, name).cpu(), getattr(here, name)), name
    # A pixel whose centre lies on an edge may fall to either side; 3 channels, 5184 pixels a scene.
    assert (there.semantic.cpu() != here.semantic).float().mean() < 1e-3
    assert (there.instances.cpu() != here.instances).float().mean() < 1e-3
    assert ((there.images.cpu() - here.images).abs() > 1e-3).float().mean() < 2e-3
    assert (there.boxes.cpu() - here.boxes).abs().max() <= 1
    assert there.captions == here.captions
    other = render(24, device=DEVICE, **{**options, "seed": 6})
    assert (other.semantic.cpu() != here.semantic).float().mean() > 0.1


def test_a_scene_does_not_depend_on_its_batch():
    many = render(40, seed=1, device=DEVICE)
    again = render(40, seed=1, device=DEVICE)
    assert torch.equal(many.images, again.images) and torch.equal(many.semantic, again.semantic)
