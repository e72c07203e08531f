"""A model's own tokenizer, built without anything that its folder could run.

transformers lets a folder name a class, and a Python file with that class. What is copied aside here, and what
transformers then sees, is data alone: the vocabulary, and settings that are listed.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
from torch import Tensor

from clipkit.errors import one_line
from clipkit.safe import read_json

__all__ = ["own_tokenizer"]

_DATA = (
    "tokenizer.json", "vocab.json", "merges.txt", "vocab.txt", "sentencepiece.bpe.model", "spiece.model",
    "tokenizer.model", "spm.model", "added_tokens.json", "special_tokens_map.json",
)  # fmt: skip
_CLASSES = {
    "PreTrainedTokenizer", "TokenizersBackend", "AlbertTokenizer", "BertTokenizer", "CLIPTokenizer",
    "CamembertTokenizer", "DebertaV2Tokenizer", "DistilBertTokenizer", "GPT2Tokenizer", "GemmaTokenizer",
    "LlamaTokenizer", "M2M100Tokenizer", "MPNetTokenizer", "MT5Tokenizer", "NllbTokenizer", "RobertaTokenizer",
    "SiglipTokenizer", "T5Tokenizer", "XLMRobertaTokenizer",
}  # fmt: skip
_TYPES = {
    "albert", "bert", "camembert", "clip", "clip_text_model", "deberta-v2", "distilbert", "gemma", "gpt2", "llama",
    "m2m_100", "mpnet", "mt5", "roberta", "siglip", "t5", "xlm-roberta",
}  # fmt: skip
_SETTINGS = {
    "add_bos_token", "add_eos_token", "add_prefix_space", "added_tokens_decoder", "additional_special_tokens",
    "bos_token", "clean_up_tokenization_spaces", "cls_token", "do_lower_case", "eos_token", "errors", "extra_ids",
    "keep_accents", "legacy", "mask_token", "model_max_length", "never_split", "pad_token", "padding_side",
    "remove_space", "sep_token", "split_special_tokens", "src_lang", "strip_accents", "tgt_lang",
    "tokenize_chinese_chars", "trim_offsets", "truncation_side", "unk_token",
}  # fmt: skip


def own_tokenizer(name: str, text_cfg: Mapping[str, Any], context_length: int) -> Callable[..., Tensor]:
    """The tokenizer of a model that is not open_clip's: CLIP's own, or transformers' with the folder's vocabulary.

    Args:
        name: 'local-dir:FOLDER' or 'hf-hub:OWNER/NAME'.
        text_cfg: of the checked configuration.

    Raises:
        ValueError: one line that names the file: it wants code of its own, or a class that is not listed here.
    """
    options = dict(text_cfg.get("tokenizer_kwargs") or {})
    wanted = text_cfg.get("hf_tokenizer_name")
    folder = Path(name.removeprefix("local-dir:")).expanduser()
    if not wanted:
        if name.startswith("local-dir:") and not (folder / "open_clip_config.json").is_file():
            raise ValueError(f"{folder}: transformers' folder with another vocabulary than CLIP's: pass tokenizer=")
        return open_clip.SimpleTokenizer(context_length=context_length, **options)
    options |= {"tokenizer_mode": text_cfg.get("tokenizer_mode"), "trust_remote_code": False}
    if not name.startswith("local-dir:"):
        return open_clip.tokenizer.HFTokenizer(wanted, context_length=context_length, **options)
    with tempfile.TemporaryDirectory() as aside:
        _copy_data(folder, Path(aside))
        options["local_files_only"] = True
        try:
            tokenizer = open_clip.tokenizer.HFTokenizer(aside, context_length=context_length, **options)
            tokenizer(["a", "a word"])  # what is wrong with its settings is found when words are padded
            return tokenizer
        except Exception as error:  # transformers raises a dozen types on damaged vocabularies
            reason = one_line(str(error).replace(aside, str(folder)), 200)
            raise ValueError(f"{folder}: its tokenizer cannot be read ({reason}): pass tokenizer=") from error


def _copy_data(folder: Path, aside: Path) -> None:
    found = [name for name in _DATA if (folder / name).is_file()]
    if not found:
        raise ValueError(f"{folder}: has no vocabulary ({', '.join(_DATA[:4])}, …), which its hf_tokenizer_name needs")
    for name in found:
        shutil.copyfile(folder / name, aside / name)
    path = folder / "tokenizer_config.json"
    config = read_json(path) if path.is_file() else {}
    settings = {key: value for key, value in config.items() if key in _SETTINGS}
    kind = config.get("tokenizer_class")
    if kind is None and "auto_map" in config:
        raise ValueError(f"{path}: asks for Python code of its own (auto_map), which is not run: pass tokenizer=")
    if kind is not None:
        if not isinstance(kind, str) or kind.removesuffix("Fast") not in _CLASSES:
            raise ValueError(f"{path}: tokenizer_class is {kind!r}, which is not run from a folder: pass tokenizer=")
        settings["tokenizer_class"] = kind
    (aside / path.name).write_text(json.dumps(settings))
    model = folder / "config.json"
    kind = read_json(model).get("model_type") if model.is_file() else None
    if isinstance(kind, str) and kind in _TYPES:
        (aside / model.name).write_text(json.dumps({"model_type": kind}))
