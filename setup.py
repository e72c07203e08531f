"""Packaging. `plugins/` installs as `clipkit_plugins` and `configs/` as `clipkit_configs`, so that a wheel owns no
top-level name that other projects use."""

from setuptools import find_namespace_packages, find_packages, setup

ENGINE = [
    "onedl-mmengine>=0.10.11",
    "onedl-mmcv>=2.3.5",
    "prettytable>=3",
    "pycocotools>=2.0.8",
    "scipy>=1.11",
    "matplotlib>=3.8",
    "jinja2>=3.1",
]
SEG = [*ENGINE, "onedl-mmsegmentation>=1.4.1", "ftfy"]
DET = [*ENGINE, "onedl-mmdetection>=3.5.0"]
# decord has wheels for these two only (0.6.0); elsewhere PyAV reads.
ON_LINUX = "sys_platform == 'linux' and platform_machine == 'x86_64'"
ON_WINDOWS = "sys_platform == 'win32' and platform_machine == 'AMD64'"
MEDIA = ["av>=15", f"decord>=0.6; {ON_LINUX} or {ON_WINDOWS}"]
VIDEO = [*ENGINE, *MEDIA]
DEPTH = POINTS = [*ENGINE, "h5py>=3.10"]
ONNX = ["onnx>=1.19", "onnxscript>=0.5", "onnxruntime>=1.22"]
PARQUET = ["pyarrow>=17"]
RAY = ["ray>=2.40"]
MILVUS = ["pymilvus>=2.6", "milvus-lite>=3; sys_platform != 'win32'"]  # the latter is a server in this process
FORMATS = ["supervision>=0.30", "pycocotools>=2.0.8", "scipy>=1.11"]
DEMO = ["gradio>=6,<7", "pycocotools>=2.0.8", "scipy>=1.11"]
TEST = [
    "pytest>=8",
    "ruff>=0.6",
    "mypy>=1.10",
    "transformers>=4.45",
    "tensorboard",
    "av>=15",
    *FORMATS,
    *ONNX,
    *POINTS,
    *PARQUET,
    "plyfile>=1.0",
    "trimesh>=4",
    "faiss-cpu>=1.9",
    "scikit-learn>=1.5",
    "resvg-py>=0.2",
]
# What only `pytest -m slow` needs.
TEST_SLOW = [
    "lightning>=2.5",
    "accelerate>=1.2",
    "diffusers>=0.35",
    *DEMO,
    "playwright>=1.50",
    *RAY,
    *MILVUS,
    "moto[server]>=5",
    "s3fs>=2024.6",
]
DOCS = ["mkdocs-material>=9.5", "mkdocstrings[python]>=0.26", "ruff>=0.6"]  # ruff breaks long signatures

plugin_packages = ["clipkit_plugins" + ("." + name if name else "") for name in ["", *find_packages("plugins")]]
config_packages = ["clipkit_configs" + ("." + n if n else "") for n in ["", *find_namespace_packages("configs")]]

setup(
    packages=[*find_packages(include=["clipkit", "clipkit.*"]), *plugin_packages, *config_packages],
    package_dir={"clipkit": "clipkit", "clipkit_plugins": "plugins", "clipkit_configs": "configs"},
    package_data={
        "clipkit": [
            "py.typed",
            "**/*.json",
            "**/*.safetensors",
            "**/*.txt",
            "**/*.log",
            "**/*.html",
            "**/*.js",
            "**/*.css",
            "**/*.png",
        ],
        "clipkit_plugins": ["**/*.md", "**/*.txt", "**/*.json"],
        "clipkit_configs": ["*.py", "**/*.py"],
    },
    install_requires=[
        "torch>=2.6",
        "torchvision>=0.21",
        "open_clip_torch>=3.3,<5",
        "timm>=1.0.17",
        "einops>=0.8",
        "fsspec>=2024.6",
        "numpy>=1.26",
        "safetensors>=0.4.5",
        "tqdm>=4.66",
    ],
    extras_require={
        "seg": SEG,
        "det": DET,
        "media": MEDIA,
        "formats": FORMATS,
        "video": VIDEO,
        "points": POINTS,
        "depth": DEPTH,
        "demo": DEMO,
        "onnx": ONNX,
        "parquet": PARQUET,
        "ray": RAY,
        "milvus": MILVUS,
        "test": TEST,
        "test-slow": TEST_SLOW,
        "docs": DOCS,
        "all": sorted({*SEG, *DET, *VIDEO, *DEPTH, *FORMATS, *PARQUET}),
    },
    entry_points={"console_scripts": ["clipkit = clipkit.cli:main"]},
)
