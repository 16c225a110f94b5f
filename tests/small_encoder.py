"""Encoders with random weights in the format of sentence-transformers: a tiny BERT, and a bag of words."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

WORDS = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##s", ".", ",", ":", "a", "the", "of", "is", "one", "another"),
    *("bridge", "river", "town", "sentence", "new"),
)


def write_encoder(folder: Path, dimension: int) -> None:
    """Put one into a folder: the same bytes each time."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizer

    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=dimension,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    with tempfile.TemporaryDirectory() as body, torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(body)
        BertTokenizer(vocab={word: index for index, word in enumerate(WORDS)}).save_pretrained(body)
        modules = [Transformer(body), Pooling(dimension)]
        SentenceTransformer(modules=modules, device="cpu").save(str(folder))


def write_bag_of_words(folder: Path, texts: Iterable[str], dimension: int) -> None:
    """Put an encoder into a folder that takes the mean of random vectors of a text's words: those of these texts.

    Its files are written without sentence-transformers, which takes seconds to import.
    """
    words = ["[UNK]", *sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]+", text)})]
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    folder.mkdir(parents=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    vectors = np.random.default_rng(0).standard_normal((len(words), dimension)).astype(np.float32)
    save_file({"embedding.weight": vectors}, folder / "model.safetensors")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.StaticEmbedding"}]
    (folder / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
