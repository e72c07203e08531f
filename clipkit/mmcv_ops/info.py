"""What environment reports ask `mmcv._ext`."""

__all__ = ["get_compiler_version", "get_compiling_cuda_version"]


def get_compiler_version() -> str:
    """There is no compiler behind these operators."""
    return "not compiled (clipkit.mmcv_ops)"


def get_compiling_cuda_version() -> str:
    """What a compiled module without CUDA answers."""
    return "not available"
