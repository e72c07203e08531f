"""Rows: weights of CLIPs, their folders and tokenizers, checkpoints, resuming, converters."""

import json
import shutil
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from clipkit_plugins.latent_edit.vq_files import read_vq_model, write_vq_model
from clipkit_plugins.latent_edit.vqgan import VQGAN
from clipkit_plugins.lseg.convert import Sizes
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from safetensors.torch import load_file, save_file

from clipkit.backbone import FrozenCLIP
from clipkit.backbone._load import load_weights as load_clip
from clipkit.backbone._tokenizer_folder import own_tokenizer
from clipkit.convert.checkpoints import convert_file
from clipkit.engine.build import build_runner
from clipkit.engine.checkpoint import guard_pretrained, load_checkpoint
from clipkit.engine.weights import load_weights, unwrap_names
from clipkit.optimise import Pixels, optimise
from fuzz.table import Reader, only
from support import actionclip_official, clip4clip_official, clip_files, lseg_official, tiny_parts

# -- CLIPs ------------------------------------------------------------------------------------------------------------


@cache
def _small() -> torch.nn.Module:
    return clip_files.clip()


def _clip_files(root: Path) -> None:
    state = dict(_small().state_dict())
    for name in ("zip", "wrapped", "legacy", "safetensors", "torchscript"):
        (root / name).mkdir()
    torch.save(state, root / "zip/w.pt")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}, root / "wrapped/w.pt"
    )
    torch.save(state, root / "legacy/w.pt", _use_new_zipfile_serialization=False)
    save_file(state, root / "safetensors/w.safetensors", metadata={"format": "pt"})
    clip_files.save_torchscript(_small(), root / "torchscript/w.pt")


def _load_clip_file(folder: Path) -> Any:
    return load_clip(only(folder), _small(), name="small")


def _clip_folders(root: Path) -> None:
    folder = root / "safetensors"
    folder.mkdir()
    preprocess = {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    config = {"model_cfg": {**clip_files.SMALL, "quick_gelu": True}, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    save_file(dict(_small().state_dict()), folder / "open_clip_model.safetensors")
    shutil.copytree(folder, root / "pickled", ignore=shutil.ignore_patterns("*.safetensors"))
    torch.save(_small().state_dict(), root / "pickled/open_clip_pytorch_model.bin")


def _transformers_folders(root: Path) -> None:
    clip_files.transformers_clip(root / "one")
    weights = load_file(root / "one/model.safetensors")
    shutil.copytree(root / "one", root / "shards", ignore=shutil.ignore_patterns("*.safetensors"))
    names = list(weights)
    places = {}
    for number, part in enumerate((names[::2], names[1::2])):
        file = f"model-{number}.safetensors"
        save_file({name: weights[name] for name in part}, root / "shards" / file, metadata={"format": "pt"})
        places |= dict.fromkeys(part, file)
    (root / "shards/model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    values = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.2, 0.2], "resample": 3}
    for name in ("one", "shards"):
        (root / name / "preprocessor_config.json").write_text(json.dumps(values))


def _load_folder(folder: Path) -> Any:
    clip = FrozenCLIP.from_pretrained(
        f"local-dir:{folder}", device="cpu", tokenizer=lambda texts: torch.zeros(len(texts), 12, dtype=torch.long)
    )
    return clip.model.state_dict(), clip.image_size


def _tokenizers(root: Path) -> None:
    import tokenizers

    for name in ("words", "pieces"):
        (root / name).mkdir()
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[PAD]": 0, "red": 5, "circle": 6, "?": 7}, "?"))
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    words.save(str(root / "words/tokenizer.json"))
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]", "model_max_length": 16}
    (root / "words/tokenizer_config.json").write_text(json.dumps(settings))
    (root / "words/special_tokens_map.json").write_text(json.dumps({"pad_token": "[PAD]"}))
    letters = [
        "r",
        "e",
        "d",
        "c",
        "i",
        "l",
        "r</w>",
        "d</w>",
        "e</w>",
        "re",
        "red</w>",
        "<|startoftext|>",
        "<|endoftext|>",
    ]
    (root / "pieces/vocab.json").write_text(json.dumps({letter: number for number, letter in enumerate(letters)}))
    (root / "pieces/merges.txt").write_text("#version: 0.2\nr e\nre d</w>\n")
    settings = {"tokenizer_class": "CLIPTokenizer", "pad_token": "<|endoftext|>", "added_tokens_decoder": {}}
    (root / "pieces/tokenizer_config.json").write_text(json.dumps(settings))
    (root / "pieces/config.json").write_text(json.dumps({"model_type": "clip"}))


def _tokenize(folder: Path) -> Any:
    return own_tokenizer(f"local-dir:{folder}", {"hf_tokenizer_name": "any"}, 16)(["red circle"])


# -- checkpoints ------------------------------------------------------------------------------------------------------


def _run(folder: Path, resume: bool, steps: int) -> Any:
    config = Config.fromstring(tiny_parts.CONFIG, ".py")
    runner = build_runner(config, work_dir=folder, resume=resume, cfg_options={"train_cfg.max_iters": steps})
    runner.train()
    return runner


def _checkpoints(root: Path) -> None:
    runner = _run(root / ".run", False, 6)
    for name in ("zip", "bare", "safetensors"):
        (root / name).mkdir()
    shutil.copy(root / ".run/iter_6.pth", root / "zip")
    state = runner.model.state_dict()
    torch.save(state, root / "bare/w.pth")
    save_file(state, root / "safetensors/w.safetensors")


def _load_checkpoint(folder: Path) -> Any:
    file = only(folder)
    loaded = load_checkpoint(file)
    model = tiny_parts.TinyLinear(6)
    load_weights(model, unwrap_names(loaded.get("state_dict", {}), model), str(file), strict=True)
    return loaded


def _load_pretrained(folder: Path) -> Any:
    guard_pretrained()
    return CheckpointLoader.load_checkpoint(str(only(folder)), map_location="cpu")


def _pretrained(root: Path) -> None:
    for name in ("zip", "legacy"):
        (root / name).mkdir()
        state = {"state_dict": tiny_parts.TinyLinear(6).state_dict(), "meta": {"epoch": 1}}
        torch.save(state, root / name / "w.pth", _use_new_zipfile_serialization=name == "zip")


def _runs(root: Path) -> None:
    _run(root / "run", False, 6)
    for path in (root / "run").iterdir():
        if path.is_dir():  # logs, which nobody reads again
            shutil.rmtree(path)
        elif not path.name.startswith(("iter_", "last_")):
            path.unlink()


def _resume(folder: Path) -> Any:
    return _run(folder, True, 7).model.state_dict()


# -- converters -------------------------------------------------------------------------------------------------------


def _save_both(plugin: str, root: Path, original: Any) -> None:
    for name in ("original", "ours"):
        (root / name).mkdir()
    torch.save(original, root / "original/theirs.pt")
    convert_file(plugin, root / "original/theirs.pt", root / "ours/ours.pth")


def _lseg(root: Path) -> None:
    state = lseg_official.official_state("vitb32", Sizes((4, 6, 8, 8), 4, 8, False, 12, 10, 2), unused=True)
    _save_both(
        "lseg",
        root,
        {"epoch": 1, "state_dict": {k: v.float() if v.is_floating_point() else v for k, v in state.items()}},
    )


def _actionclip(root: Path) -> None:
    parts = {
        part: {k: v.half() for k, v in state.items()}
        for part, state in actionclip_official.original_state("LSTM").items()
    }
    _save_both("actionclip", root, {"epoch": 49, **parts})


def _clip4clip(root: Path) -> None:
    _save_both(
        "clip4clip", root, {key: value.half() for key, value in clip4clip_official.original_state("seqTransf").items()}
    )


def _convert(plugin: str, folder: Path) -> Any:
    source = only(folder)
    target = folder.with_name("converted.pth")
    target.unlink(missing_ok=True)
    convert_file(plugin, source, target, reverse=source.name == "ours.pth")
    return torch.load(target, weights_only=True)


# -- pictures on their way ---------------------------------------------------------------------------------------------


def _moved(root: Path) -> None:
    """A drawing that was stopped after two of four steps, as `clipkit draw --checkpoint` keeps one."""
    (root / "stopped").mkdir()
    _move(root / "stopped/run.pt", stop=2)


def _move(file: Path, stop: int | None = None) -> Any:
    generator, steps = torch.Generator().manual_seed(0), iter(range(9))

    def loss(pictures: torch.Tensor) -> dict[str, torch.Tensor]:
        if next(steps) == stop:
            raise InterruptedError
        return {"far": (pictures - torch.rand((), generator=generator)).square().mean((1, 2, 3))}

    options: dict[str, Any] = {"steps": 4, "lr": 0.1, "every": 1, "generators": [generator], "about": ["a cat"]}
    with suppress(InterruptedError):
        return optimise(Pixels(1, (4, 4)), loss, checkpoint=file, **options)


# -- generators -------------------------------------------------------------------------------------------------------


def _generators(root: Path) -> None:
    small: dict[str, Any] = {"widths": (4, 8), "layers": 1, "latent_channels": 3, "codes": 6, "groups": 2}
    more = {"attention": [False, True], "decoder_attention": [True, False], "code_channels": 2}
    for name, options in (("plain", small), ("attending", {**small, **more})):
        write_vq_model(VQGAN(**options), root / name, **options)


READERS = [
    Reader("clip files", _clip_files, _load_clip_file, checked=("zip", "wrapped", "torchscript"), share=2),
    Reader("clip folders", _clip_folders, _load_folder, checked=("pickled",)),
    Reader("transformers folders", _transformers_folders, _load_folder),
    Reader("tokenizer folders", _tokenizers, _tokenize),
    Reader("checkpoints", _checkpoints, _load_checkpoint, checked=("zip", "bare"), share=2),
    Reader("pretrained weights", _pretrained, _load_pretrained, checked=("zip",)),
    Reader("resume", _runs, _resume, checked=("*",), share=0.1, cases=100),
    Reader("pictures on their way", _moved, lambda folder: _move(only(folder)), checked=("*",)),
    Reader("generators", _generators, lambda folder: read_vq_model(folder).state_dict()),
    Reader("convert lseg", _lseg, partial(_convert, "lseg"), checked=("*",)),
    Reader("convert actionclip", _actionclip, partial(_convert, "actionclip"), checked=("*",)),
    Reader("convert clip4clip", _clip4clip, partial(_convert, "clip4clip"), checked=("*",)),
]
