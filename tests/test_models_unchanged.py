"""The plain transformer (p1, p5) is what it was before it had variants: names, first draws, outputs, gradients.

Names and first draws bit by bit; outputs and gradients up to rounding, since a single query no longer makes keys and
values of its memory (`Attention`).

The module below is that first version, frozen; nothing else may use it.
"""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lvm_core.config.models import TransformerParams
from lvm_core.models import build_model
from lvm_core.models.layers import sinusoid


class FrozenAttention(nn.Module):
    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_bias = nn.Parameter(torch.zeros(3 * width))
        self.out = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, query, memory):
        width = query.shape[-1]
        if query is memory:
            q, k, v = F.linear(query, self.in_weight, self.in_bias).chunk(3, dim=-1)
        else:
            q = F.linear(query, self.in_weight[:width], self.in_bias[:width])
            k, v = F.linear(memory, self.in_weight[width:], self.in_bias[width:]).chunk(2, dim=-1)
        q, k, v = (x.unflatten(-1, (self.heads, -1)).transpose(1, 2) for x in (q, k, v))
        dropout = self.dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout, is_causal=query.shape[1] > 1)
        return self.out(mixed.transpose(1, 2).flatten(2))


class FrozenLayer(nn.Module):
    def __init__(self, width, heads, ffn, dropout):
        super().__init__()
        self.self_attention = FrozenAttention(width, heads, dropout)
        self.cross_attention = FrozenAttention(width, heads, dropout)
        self.up, self.down = nn.Linear(width, ffn), nn.Linear(ffn, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, memory, last_only):
        query = x[:, -1:] if last_only else x
        x = self.norms[0](query + self.dropout(self.self_attention(query, x)))
        x = self.norms[1](x + self.dropout(self.cross_attention(x, memory)))
        return self.norms[2](x + self.dropout(self.down(self.dropout(F.relu(self.up(x))))))


class FrozenTransformer(nn.Module):
    def __init__(self, params, dimension):
        super().__init__()
        width = params.d_model
        self.pos_scalar = params.pos_scalar
        self.project = nn.Linear(dimension + (params.pos_scalar is not None), width)
        self.register_buffer("positions", sinusoid(5, width), persistent=False)
        self.layers = nn.ModuleList(
            FrozenLayer(width, params.heads, params.ffn, params.dropout) for _ in range(params.layers)
        )
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.LayerNorm(width), nn.Linear(width, dimension))

    def forward(self, contexts):
        if self.pos_scalar is not None:
            ramp = torch.linspace(0.0, self.pos_scalar, 5)
            contexts = torch.cat([contexts, ramp[None, :, None].expand(len(contexts), 5, 1)], dim=2)
        memory = self.project(contexts) + self.positions
        x = memory
        for index, layer in enumerate(self.layers):
            x = layer(x, memory, index == len(self.layers) - 1)
        return self.head(x[:, -1])


def trace(build, contexts, *, bf16: bool, training: bool):
    """Names, first weights, and output with gradients of a seeded model."""
    torch.manual_seed(3)
    model = build().train(training)
    weights = model.state_dict()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        raw = model(contexts)
    raw.float().square().sum().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    return list(weights), list(weights.values()), [raw.float(), *gradients]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("pos_scalar", [None, 0.03])
def test_plain_transformer_is_the_first_version(pos_scalar, bf16, training):
    sizes = {"family": "transformer", "d_model": 32, "layers": 3, "heads": 4, "ffn": 64, "dropout": 0.0}
    params = TransformerParams.model_validate(sizes | {"pos_scalar": pos_scalar})
    contexts = F.normalize(torch.randn(16, 5, 24, generator=torch.Generator().manual_seed(1)), dim=2)
    names, weights, results = trace(lambda: build_model(params, 24), contexts, bf16=bf16, training=training)
    was_names, was_weights, was = trace(lambda: FrozenTransformer(params, 24), contexts, bf16=bf16, training=training)
    assert names == was_names
    assert all(torch.equal(tensor, before) for tensor, before in zip(weights, was_weights, strict=True))
    for result, before in zip(results, was, strict=True):
        distance = torch.linalg.vector_norm(result - before) / torch.linalg.vector_norm(before)
        assert distance < (0.05 if bf16 else 1e-5)  # a bf16 number is off by up to 2^-9 of itself, at every operation
