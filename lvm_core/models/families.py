"""The model families: transformer and [NEXT] reader, LSTM, GRU and attention mixture (prior results, section 2).

And what they are compared with: a residual network over the context (arXiv 2005.05255), and formulas.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.config.models import (
    AmnParams,
    FormulaParams,
    GruParams,
    LstmParams,
    NextTokenParams,
    StorylinesParams,
    TransformerParams,
)
from lvm_core.config.references import REFERENCES, TURNED, sees_of
from lvm_core.models.base import Energy, LastSlotBias, LatentModel, Plain, RampedValue, build_head
from lvm_core.models.formula import Formula
from lvm_core.models.layers import Attention, Dropout, append_position, sinusoid
from lvm_core.windows import CONTEXT


class DecoderLayer(nn.Module):
    """Post-norm decoder layer: the function of `nn.TransformerDecoderLayer` with causal masks (a test compares)."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.self_attention = Attention(width, heads, dropout)
        self.cross_attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = Dropout(dropout)

    def forward(
        self, x: torch.Tensor, memory: torch.Tensor, *, last_only: bool, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        """[B, T, d] -> [B, T, d], or [B, 1, d] with `last_only`; `bias` [T] is that of both attentions."""
        query = x[:, -1:] if last_only else x
        x = self.norms[0](self.dropout.onto(query, self.self_attention(query, x, bias)))
        x = self.norms[1](self.dropout.onto(x, self.cross_attention(x, memory, bias)))
        return self.norms[2](self.dropout.onto(x, self.down(self.dropout.after_relu(self.up(x)))))


class Transformer(LatentModel):
    """Five context vectors to the raw (not unit) prediction of the next one.

    A bias against the last slot acts where attention reads that slot, which by causality only the last position does.
    The last position's own residual stream still carries it: `next_token` is the family without that path.
    """

    def __init__(self, params: TransformerParams, dimension: int) -> None:
        super().__init__(params, dimension)
        width = params.d_model
        self.pos_scalar = params.pos_scalar
        self.project = nn.Linear(dimension + (params.pos_scalar is not None), width)
        self.positions: torch.Tensor
        self.register_buffer("positions", sinusoid(CONTEXT, width), persistent=False)
        self.layers = nn.ModuleList(
            DecoderLayer(width, params.heads, params.ffn, params.dropout) for _ in range(params.layers)
        )
        self.head = build_head(params, width, dimension)
        ramped = params.pos_scalar is not None and params.pos_ramp is not None
        self.pos_ramped = RampedValue(params.pos_scalar or 0.0, params.pos_ramp) if ramped else None
        self.last_slot = LastSlotBias(params.last_slot_bias) if params.last_slot_bias else None
        self.share = nn.Parameter(torch.ones(())) if params.memory else None  # how much of it is taken off
        self.base = Formula(dimension, params.base in TURNED) if params.base else None
        named = REFERENCES[params.base] if isinstance(params.base, str) else sees_of(params.memory)
        self.base_reads_memory = self.has_memory and named != "context"
        if self.base is not None and params.train_base != "all":
            self.base.requires_grad_(params.train_base == "weights")
            if self.base.matrix is not None:
                self.base.matrix.requires_grad_(False)
        self.keep = params.keep
        self.kept = Formula(dimension, params.base in TURNED).requires_grad_(False) if params.keep else None

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        read = self.less_memory(contexts, mean)
        prediction: torch.Tensor = self.head(self.state(read), read)
        if self.base is None:
            return prediction
        # At unit length: whatever the formula's scale, a correction of one size means the same. No rank changes by it.
        taken = mean if self.base_reads_memory else self.centre
        tuned = F.normalize(self.base(contexts, taken).to(contexts.dtype), dim=1) + prediction.to(contexts.dtype)
        if self.kept is None or self.training:
            return tuned
        # What a training learns on one source it unlearns on others; half of the start keeps most of both (Wortsman et
        # al., "Robust fine-tuning of zero-shot models", CVPR 2022, which mixes weights; here predictions).
        kept = F.normalize(self.kept(contexts, taken).to(contexts.dtype), dim=1)
        return self.keep * kept + (1.0 - self.keep) * F.normalize(tuned, dim=1)

    def start_from(self, formula: Formula) -> None:
        """Take the numbers of a fitted formula for the base, and for what is kept of it."""
        for own in (self.base, self.kept):
            if own is not None:
                own.load_state_dict(formula.state_dict())

    def samples(self, contexts: torch.Tensor, n: int, memory: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, n, D]."""
        head, mean = self.head, self.mean_seen(contexts, memory)
        if not isinstance(head, Energy):
            return super().samples(contexts, n)
        return self.within(lambda given: head.samples(self.state(self.less_memory(given, mean)), n), contexts)

    def less_memory(self, contexts: torch.Tensor, mean: torch.Tensor | None) -> torch.Tensor:
        """[B, 5, D] -> [B, 5, D], what state and head read: what is new in each chunk, where there is a memory."""
        return contexts if self.share is None or mean is None else contexts - self.share * mean[:, None]

    def state(self, contexts: torch.Tensor) -> torch.Tensor:
        """[B, 5, D] -> [B, d], what the head reads: the last position of the last layer."""
        if self.pos_scalar is not None:
            scalar = self.pos_scalar if self.pos_ramped is None else self.pos_ramped.in_force
            contexts = append_position(contexts, scalar)
        memory = self.project(contexts) + self.positions  # [B, T, d]
        bias = self.last_slot() if self.last_slot else None
        x = memory
        for index, layer in enumerate(self.layers):
            x = layer(x, memory, last_only=index == len(self.layers) - 1, bias=bias)
        return x[:, -1]


class ReaderLayer(nn.Module):
    """Post-norm layer without self-attention."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.dropout = Dropout(dropout)

    def forward(self, x: torch.Tensor, memory: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """[NEXT] [B, 1, d] and the context [B, T, d] -> [B, 1, d]; `bias` is [T]."""
        x = self.norms[0](self.dropout.onto(x, self.attention(x, memory, bias)))
        return self.norms[1](self.dropout.onto(x, self.down(self.dropout.after_relu(self.up(x)))))


class NextToken(LatentModel):
    """Five context vectors, read by [NEXT], to the raw prediction of the next one."""

    def __init__(self, params: NextTokenParams, dimension: int) -> None:
        super().__init__(params, dimension)
        width = params.d_model
        self.project = nn.Linear(dimension, width)
        self.positions: torch.Tensor
        self.register_buffer("positions", sinusoid(CONTEXT, width), persistent=False)
        self.next = nn.Parameter(0.02 * torch.randn(width))  # near zero: attention starts even over the slots
        self.layers = nn.ModuleList(
            ReaderLayer(width, params.heads, params.ffn, params.dropout) for _ in range(params.layers)
        )
        self.head = Plain(width, dimension)
        self.last_slot = LastSlotBias(params.last_slot_bias) if params.last_slot_bias else None

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        memory = self.project(contexts) + self.positions  # [B, T, d]
        bias = self.last_slot() if self.last_slot else None
        x = self.next.expand(len(contexts), 1, -1)
        for layer in self.layers:
            x = layer(x, memory, bias)
        return self.head(x[:, 0])


class Lstm(LatentModel):
    """A stack of LSTM layers; the last step's output, Linear d -> D."""

    def __init__(self, params: LstmParams, dimension: int) -> None:
        super().__init__(params, dimension)
        between = params.dropout if params.layers > 1 else 0.0  # torch warns of dropout that has no place
        self.lstm = nn.LSTM(dimension, params.d_model, params.layers, batch_first=True, dropout=between)
        self.out = nn.Linear(params.d_model, dimension)

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        steps, _ = self.lstm(contexts)
        prediction: torch.Tensor = self.out(steps[:, -1])
        return prediction


class GruLayer(nn.Module):
    """x -> LayerNorm(x + dropout(GRU(x)))."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.gru = nn.GRU(width, width, batch_first=True)
        self.norm, self.dropout = nn.LayerNorm(width), Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, T, d] -> [B, T, d]."""
        steps, _ = self.gru(x)
        return self.norm(x + self.dropout(steps))


class Gru(LatentModel):
    """Linear D -> d, a stack of residual GRU layers, the last step, Linear d -> D."""

    def __init__(self, params: GruParams, dimension: int) -> None:
        super().__init__(params, dimension)
        self.project = nn.Linear(dimension, params.d_model)
        self.layers = nn.Sequential(*(GruLayer(params.d_model, params.dropout) for _ in range(params.layers)))
        self.out = nn.Linear(params.d_model, dimension)

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        prediction: torch.Tensor = self.out(self.layers(self.project(contexts))[:, -1])
        return prediction


class Amn(LatentModel):
    """y = mean + MLP([mean; mixture]); the mixture's weights are those of attention from the mean to the context.

    Nothing tells one slot from another, so that shuffling or reversing the context changes nothing beyond rounding.
    """

    def __init__(self, params: AmnParams, dimension: int) -> None:
        super().__init__(params, dimension)
        width = params.d_model
        self.query, self.key = nn.Linear(dimension, width), nn.Linear(dimension, width)
        self.residual = nn.Sequential(
            *(nn.Linear(2 * dimension, params.ffn), nn.GELU(), nn.LayerNorm(params.ffn)),
            *(nn.Linear(params.ffn, width), nn.GELU(), nn.LayerNorm(width)),
            nn.Linear(width, dimension),
        )

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        mean = contexts.mean(dim=1)
        query, keys = self.query(mean), self.key(contexts)  # [B, d], [B, 5, d]
        logits = (query[:, None] * keys).sum(dim=2) / math.sqrt(query.shape[1])
        weights = logits.to(contexts.dtype).softmax(dim=1)
        mixture = (weights[:, :, None] * contexts).sum(dim=1)
        return mean + self.residual(torch.cat([mean, mixture], dim=1)).to(contexts.dtype)


class Storylines(LatentModel):
    """A residual network over the concatenated context, with the memory in a sixth place where there is one.

    After the sentence-level language model of Ippolito et al. 2020 (arXiv 2005.05255), which is trained by a softmax
    over candidate sentences: loss `article_softmax`.
    """

    def __init__(self, params: StorylinesParams, dimension: int) -> None:
        super().__init__(params, dimension)
        width = params.width
        self.project = nn.Linear((CONTEXT + self.has_memory) * dimension, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                *(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU()),
                *(Dropout(params.dropout), nn.Linear(width, width)),
            )
            for _ in range(params.blocks)
        )
        self.out = nn.Linear(width, dimension)

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        x = self.project(contexts.flatten(1) if mean is None else torch.cat([contexts.flatten(1), mean], dim=1))
        for block in self.blocks:
            x = x + block(x)
        return self.out(x)


class FormulaModel(LatentModel):
    """A `Formula` of the context and the mean that it takes off; it starts as copy-last."""

    def __init__(self, params: FormulaParams, dimension: int) -> None:
        super().__init__(params, dimension)
        self.formula = Formula(dimension, params.turned)

    @classmethod
    def of(cls, formula: Formula, centre: torch.Tensor, memory: str | None) -> FormulaModel:
        """A fitted formula, the mean [D] of `train`, and `model.memory` as a model."""
        params = {"family": "formula", "turned": formula.matrix is not None, "memory": memory}
        model = cls(FormulaParams.model_validate(params), len(centre))
        model.formula.load_state_dict(formula.state_dict())
        model.register_buffer("centre", centre.clone())
        return model

    def predict(self, contexts: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """[B, 5, D] -> [B, D]."""
        prediction: torch.Tensor = self.formula(contexts, mean)
        return prediction
