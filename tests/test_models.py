from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from lvm_core.config.models import TransformerParams
from lvm_core.config.params import PARAMS_FILE, validate
from lvm_core.models import build_model, count_parameters
from lvm_core.models.families import DecoderLayer
from lvm_core.models.layers import append_position, sinusoid
from tests.paths import ROOT

SMALL = {"family": "transformer", "d_model": 16, "layers": 2, "heads": 4, "ffn": 32, "dropout": 0.0, "pos_scalar": None}


def transformer(dimension: int = 12, **changes):
    torch.manual_seed(0)
    return build_model(TransformerParams.model_validate(SMALL | changes), dimension).eval()


def paper_size(pos_scalar: float | None) -> int:
    params = yaml.safe_load((ROOT / PARAMS_FILE).read_text())
    sizes = params["model"] | params["profiles"]["paper"]["model"] | {"pos_scalar": pos_scalar}
    return count_parameters(build_model(validate(sizes, TransformerParams, "model"), 768))


def test_paper_profile_has_the_published_number_of_parameters():
    assert paper_size(None) == 17_867_520
    assert paper_size(0.03) == 17_868_032


def test_default_size_is_one_that_two_cores_train_in_minutes():
    params = yaml.safe_load((ROOT / PARAMS_FILE).read_text())
    model = build_model(validate(params["model"], TransformerParams, "model"), 384)
    assert 250_000 <= count_parameters(model) <= 3_500_000


def copy_layer(ours: DecoderLayer, theirs: nn.TransformerDecoderLayer) -> None:
    for attention, reference in (
        (ours.self_attention, theirs.self_attn),
        (ours.cross_attention, theirs.multihead_attn),
    ):
        reference.in_proj_weight.data.copy_(attention.in_weight)
        reference.in_proj_bias.data.copy_(attention.in_bias)
        reference.out_proj.load_state_dict(attention.out.state_dict())
    theirs.linear1.load_state_dict(ours.up.state_dict())
    theirs.linear2.load_state_dict(ours.down.state_dict())
    for norm, reference_norm in zip(ours.norms, (theirs.norm1, theirs.norm2, theirs.norm3), strict=True):
        reference_norm.load_state_dict(norm.state_dict())


def test_layer_equals_torch_decoder_layer_with_causal_masks():
    torch.manual_seed(1)
    ours = DecoderLayer(16, 4, 32, dropout=0.0).eval()
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.3)
    theirs = nn.TransformerDecoderLayer(16, 4, 32, dropout=0.0, batch_first=True).eval()
    copy_layer(ours, theirs)
    x, memory = torch.randn(3, 5, 16), torch.randn(3, 5, 16)
    mask = nn.Transformer.generate_square_subsequent_mask(5)
    expected = theirs(x, memory, tgt_mask=mask, memory_mask=mask)
    torch.testing.assert_close(ours(x, memory, last_only=False), expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(ours(x, memory, last_only=True), expected[:, -1:], atol=1e-5, rtol=1e-5)


def test_no_position_sees_a_later_one():
    layer = DecoderLayer(16, 4, 32, dropout=0.0).eval()
    x = torch.randn(2, 5, 16)
    changed = x.clone()
    changed[:, 3:] += 1.0
    before, after = layer(x, x, last_only=False), layer(changed, changed, last_only=False)
    torch.testing.assert_close(before[:, :3], after[:, :3])
    assert not torch.allclose(before[:, 3:], after[:, 3:])


def test_model_reads_the_order_of_its_context():
    model = transformer()
    contexts = torch.randn(4, 5, 12)
    assert not torch.allclose(model(contexts), model(contexts.flip(1)), atol=1e-4)


def test_sinusoid_is_the_published_formula():
    table = sinusoid(5, 8)
    for t in range(5):
        for i in range(4):
            angle = t / 10_000 ** (2 * i / 8)
            np.testing.assert_allclose(table[t, 2 * i : 2 * i + 2], [np.sin(angle), np.cos(angle)], atol=1e-6)


def test_positional_scalar_is_an_extra_channel_rising_to_its_value():
    contexts = torch.randn(2, 5, 12)
    out = append_position(contexts, 0.2)
    assert out.shape == (2, 5, 13)
    torch.testing.assert_close(out[..., :12], contexts)
    torch.testing.assert_close(out[1, :, 12], torch.tensor([0.0, 0.05, 0.1, 0.15, 0.2]))


def test_positional_scalar_reaches_the_output():
    weak, strong = transformer(pos_scalar=0.0), transformer(pos_scalar=5.0)  # same seed, same weights
    contexts = torch.randn(3, 5, 12)
    assert not torch.allclose(weak(contexts), strong(contexts), atol=1e-4)


@pytest.mark.parametrize("changes", [{"heads": 3}, {"d_model": 0}, {"dropout": 1.0}, {"layers": 1.5}, {"ffn": "32"}])
def test_impossible_sizes_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes))):
        TransformerParams.model_validate(SMALL | changes)
