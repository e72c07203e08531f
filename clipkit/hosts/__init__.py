"""CLIP inside other people's mmengine models, by configuration alone: `FusedBackbone`, `DistilledModel`."""

import clipkit.hosts.distilled_model
import clipkit.hosts.fused_backbone
import clipkit.hosts.nn_parts  # noqa: F401
