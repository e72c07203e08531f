"""Training whose parameters, gradients and optimiser state are divided among processes."""

from clipkit.sharding.fully_shard import FullyShard, local_bytes

__all__ = ["FullyShard", "local_bytes"]
