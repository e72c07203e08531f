"""Decoders with statistics that are not 0 and 1, and with the weights of transformers' own."""

import torch
from torch import nn


def wake_norms_(module):
    """Batch statistics that are not 0 and 1, so that a norm that is left out is noticed."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.copy_(torch.linspace(-0.1, 0.1, part.num_features))
            part.running_var.copy_(torch.linspace(0.5, 1.5, part.num_features))
    return module.eval()


def copy_into(ours, theirs):
    for mine, other in zip(ours.reassemble, theirs.reassemble_stage.layers):
        mine.project.load_state_dict(other.projection.state_dict())
        if len(other.resize.state_dict() if hasattr(other.resize, "state_dict") else ()):
            mine.rescale.load_state_dict(other.resize.state_dict())
    if hasattr(theirs.reassemble_stage, "readout_projects"):
        for mine, other in zip(ours.reassemble, theirs.reassemble_stage.readout_projects):
            mine.readout.project.weight.data.copy_(other[0].weight[:, :, None, None])
            mine.readout.project.bias.data.copy_(other[0].bias)
    for mine, other in zip(ours.laterals, theirs.convs):
        mine.load_state_dict(other.state_dict())
    for mine, other in zip(reversed(list(ours.fusions)), theirs.fusion_stage.layers):
        mine.out_conv.load_state_dict(other.projection.state_dict())
        units = [(mine.rcu2, other.residual_layer2)]
        if mine.rcu1 is not None:
            units.append((mine.rcu1, other.residual_layer1))
        for a, b in units:
            a.conv1.load_state_dict(b.convolution1.state_dict())
            a.conv2.load_state_dict(b.convolution2.state_dict())
            a.bn1.load_state_dict(b.batch_norm1.state_dict())
            a.bn2.load_state_dict(b.batch_norm2.state_dict())
