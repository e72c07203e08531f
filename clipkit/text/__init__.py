"""Prompts, vocabularies and cached class embeddings."""

from clipkit.text._background import Background, LearnedBackground
from clipkit.text._class_file import read_class_file
from clipkit.text._embeddings import TextEmbeddings
from clipkit.text._match import LabelMatch, match_key
from clipkit.text._precomputed import load_embeddings, save_embeddings
from clipkit.text.bank import TextBank
from clipkit.text.templates import TEMPLATE_SETS, get_templates, imagenet_names
from clipkit.text.tokens import TokenBank, Tokens
from clipkit.text.vocabulary import Vocabulary

__all__ = [
    "TEMPLATE_SETS",
    "Background",
    "LabelMatch",
    "LearnedBackground",
    "TextBank",
    "TextEmbeddings",
    "TokenBank",
    "Tokens",
    "Vocabulary",
    "get_templates",
    "imagenet_names",
    "load_embeddings",
    "match_key",
    "read_class_file",
    "save_embeddings",
]
