"""Training whose parameters, gradients and optimiser state are divided among processes."""

from clipkit.sharding.fully_shard import FullyShard

__all__ = ["FullyShard"]
