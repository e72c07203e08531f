"""CLIP inside other people's mmengine models, by configuration alone: `FusedBackbone`, `DistilledModel`."""
