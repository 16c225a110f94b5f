"""Training as most would write it: torch's own layers in float32, windows laid out, a DataLoader; or Lightning.

Written from the definition of the model (prior results, section 2) and of recipe p1, not from the package's code.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lvm_core.config.models import TransformerParams
from lvm_core.models.families import DecoderLayer, Transformer
from lvm_core.models.layers import sinusoid
from lvm_core.windows import CONTEXT

CLIP, DECAY = 1.0, 0.01


class PlainModel(nn.Module):
    """`nn.TransformerDecoder` with causal masks over the projected context; its last position goes to the head."""

    def __init__(self, params: TransformerParams, dimension: int) -> None:
        super().__init__()
        width = params.d_model
        layer = nn.TransformerDecoderLayer(width, params.heads, params.ffn, params.dropout, batch_first=True)
        self.project = nn.Linear(dimension, width)
        self.decoder = nn.TransformerDecoder(layer, params.layers)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, dimension))
        self.positions: Tensor
        self.register_buffer("positions", sinusoid(CONTEXT, width))
        self.mask: Tensor
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(CONTEXT))

    def forward(self, contexts: Tensor) -> Tensor:
        """[B, 5, D] -> [B, D]."""
        memory = self.project(contexts) + self.positions
        decoded = self.decoder(memory, memory, tgt_mask=self.mask, memory_mask=self.mask)
        prediction: Tensor = self.head(decoded[:, -1])
        return prediction

    @torch.no_grad()
    def take_weights(self, ours: Transformer) -> None:
        """Begin with the weights of one of our models of the same size."""
        self.project.load_state_dict(ours.project.state_dict())
        self.head.load_state_dict(ours.head.state_dict())
        for theirs, layer in zip(self.decoder.layers, ours.layers, strict=True):
            assert isinstance(theirs, nn.TransformerDecoderLayer)
            assert isinstance(layer, DecoderLayer)
            attentions = ((theirs.self_attn, layer.self_attention), (theirs.multihead_attn, layer.cross_attention))
            for attention, source in attentions:
                attention.in_proj_weight.copy_(source.in_weight)
                attention.in_proj_bias.copy_(source.in_bias)
                attention.out_proj.load_state_dict(source.out.state_dict())
            theirs.linear1.load_state_dict(layer.up.state_dict())
            theirs.linear2.load_state_dict(layer.down.state_dict())
            for norm, own in zip((theirs.norm1, theirs.norm2, theirs.norm3), layer.norms, strict=True):
                norm.load_state_dict(own.state_dict())


def laid_out(vectors: np.ndarray, targets: np.ndarray) -> TensorDataset:
    """Contexts [W, 5, D] and targets [W, D] of the windows, each copied out of the bank."""
    rows = targets[:, None] + np.arange(-CONTEXT, 0)
    return TensorDataset(torch.from_numpy(vectors[rows]), torch.from_numpy(vectors[targets]))


def loader_of(dataset: TensorDataset, batch_size: int, order: list[Any] | None = None) -> DataLoader[Any]:
    """Shuffled, with torch's defaults; or with these batches of windows."""
    if order is not None:
        return DataLoader(dataset, batch_sampler=order)
    return DataLoader(dataset, batch_size=batch_size, shuffle=True)


def loss_of(model: nn.Module, contexts: Tensor, targets: Tensor, autocast: bool = False) -> Tensor:
    """Half the squared distance of prediction and target, the loss of p1; the model in bf16 with `autocast`."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        raw = model(contexts)
    return 0.5 * (raw.float() - targets).square().sum(dim=1).mean()


def train_plain(model: nn.Module, loader: DataLoader[Any], lr: float, autocast: bool = False) -> Iterator[float]:
    """One epoch in plain PyTorch; yields the loss of each step."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=DECAY)
    model.train()
    for contexts, targets in loader:
        optimizer.zero_grad()
        loss = loss_of(model, contexts, targets, autocast)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        yield loss.item()


def train_lightning(model: nn.Module, loader: DataLoader[Any], lr: float, steps: int) -> None:
    """So many steps under Lightning's Trainer, without its logger, checkpoints and progress bar.

    Raises:
        ImportError: Lightning is not installed (`make bench` installs it).
    """
    import lightning

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    class Module(lightning.LightningModule):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            contexts, targets = batch
            return loss_of(self.model, contexts, targets)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.AdamW(self.parameters(), lr=lr, weight_decay=DECAY)

    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="cpu",
        gradient_clip_val=CLIP,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader)


@torch.inference_mode()
def dev_cosine(model: nn.Module, dataset: TensorDataset) -> float:
    """Mean cosine of predictions and targets of a dataset."""
    contexts, targets = dataset.tensors
    model.eval()
    parts = [F.cosine_similarity(model(c), t) for c, t in zip(contexts.split(1024), targets.split(1024), strict=True)]
    return float(torch.cat(parts).mean())
