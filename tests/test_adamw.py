"""Our AdamW is torch's, and no training imports torch's compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from lvm_core.train.state import AdamW
from tests.paths import ROOT


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3))


def test_the_same_steps_as_the_class_of_torch_bit_by_bit():
    ours, theirs = network(), network()
    theirs[2].bias.requires_grad_(False)
    ours[2].bias.requires_grad_(False)  # a parameter without gradient is left alone
    one = AdamW(ours.parameters(), 0.01, (0.9, 0.99), 0.1)
    other = torch.optim.AdamW(theirs.parameters(), lr=0.01, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    x = torch.randn(20, 8, 5, generator=torch.Generator().manual_seed(1))
    for step, batch in enumerate(x):
        one.lr = other.param_groups[0]["lr"] = 0.01 / (step + 1)
        for model, optimizer in ((ours, one), (theirs, other)):
            optimizer.zero_grad()
            model(batch).square().sum().backward()
            optimizer.step()
    for mine, reference in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, reference)
    assert set(one.tensors()) == {f"{i}.{name}" for i in range(3) for name in ("step", "exp_avg", "exp_avg_sq")}


def test_moments_of_another_network_are_refused():
    model, optimizer = network(), AdamW(network().parameters(), 0.01, (0.9, 0.99), 0.1)
    other = AdamW(model.parameters(), 0.01, (0.9, 0.99), 0.1)
    model(torch.ones(1, 5)).sum().backward()
    other.step()
    whole = other.tensors()
    optimizer.restore(whole)
    assert all(torch.equal(optimizer.tensors()[name], whole[name]) for name in whole)
    for wrong in (
        {name: value for name, value in whole.items() if name != "1.exp_avg"},
        whole | {"1.exp_avg": torch.zeros(7)},
        whole | {"9.step": torch.zeros(())},
    ):
        with pytest.raises(ValueError, match=r"parameter|missing"):
            optimizer.restore(wrong)


def test_training_and_loading_a_model_import_no_compiler():
    """It takes two seconds of every process."""
    code = (
        "import sys, tempfile, pathlib\n"
        "from tests.training import small_bank, small_recipe, train\n"
        "from lvm_core.models import build_model\n"
        "import torch\n"
        "state = train(small_bank(), small_recipe(), 'a')\n"
        "with torch.device('meta'):\n"
        "    build_model(small_recipe().model, 16)\n"
        "print([name for name in ('torch._dynamo', 'torch._inductor', 'sympy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
