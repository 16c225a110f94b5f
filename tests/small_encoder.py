"""A tiny BERT with random weights and a handful of words, in the format of sentence-transformers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

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
