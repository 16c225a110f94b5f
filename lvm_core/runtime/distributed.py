"""One training or encoding over several processes that `torchrun` started: who we are, and our share of each batch.

Gradients are averaged by torch's DistributedDataParallel. A batch is always the batch of the recipe, each process takes
a run of its windows, and every mean over windows is taken over all of them (`Share.mean`), so that the result is that
of one process up to rounding.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lvm_core.runtime.errors import LvmError

if TYPE_CHECKING:
    import torch


LOST = "another process of this run was lost; run `dvc repro` again, which goes on from the last saved point"


@dataclass(frozen=True)
class Ranks:
    """The processes of a run."""

    rank: int = 0
    """Number of this one, from 0; number 0 writes the files and speaks."""
    size: int = 1
    """How many there are."""
    local: int = 0
    """Number of this one on its machine: the number of its GPU."""

    @property
    def first(self) -> bool:
        """Whether this process writes the files and speaks for all."""
        return self.rank == 0

    def share(self, windows: int) -> Share | None:
        """This process's part of a batch of so many windows; None where there is only one process."""
        if self.size == 1:
            return None
        cut = [windows * rank // self.size for rank in (self.rank, self.rank + 1)]
        return Share(cut[0], cut[1], windows)

    def wait(self) -> None:
        """Until every process has come here; an LvmError where one was lost."""
        if self.size > 1:
            from torch import distributed

            with lost_is_one_line():
                distributed.barrier()

    def broadcast(self, value: Any) -> Any:
        """What process 0 has, in every process: anything that json can say; the others' own value is not looked at."""
        if self.size == 1:
            return value
        import torch
        from torch import distributed

        said = torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        with lost_is_one_line():
            length = torch.tensor([len(said)], device=device)
            distributed.broadcast(length, 0)
            text = said.to(device) if self.first else torch.empty(int(length), dtype=torch.uint8, device=device)
            distributed.broadcast(text, 0)
        return json.loads(bytes(text.tolist()))


ALONE = Ranks()


@dataclass(frozen=True)
class Share:
    """One process's part of a batch: the windows from `begin` to `end` of `whole`.

    A process whose part is empty (the last batch of an epoch may have fewer windows than there are processes) computes
    a stand-in that counts for nothing, because all have to take part in every exchange.
    """

    begin: int
    end: int
    whole: int

    def of(self, batch: torch.Tensor) -> torch.Tensor:
        """Our part of what the whole batch has, along the first dimension; never empty."""
        begin = min(self.begin, self.whole - 1)
        return batch[begin : max(self.end, begin + 1)]

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """[] sum over the whole batch of values [B, ...] that we have of our part, with its gradient."""
        summed: torch.Tensor = _summing().apply(values[: self.end - self.begin].sum())
        return summed

    def mean(self, values: torch.Tensor) -> torch.Tensor:
        """[] mean over the whole batch of values [B, ...] that we have of our part, with its gradient.

        Each process adds the same mean to its loss. The exchange gives back to each part the sum of all their
        gradients, and DistributedDataParallel takes the mean over the processes: together the gradient of one mean.
        """
        return self.total(values) / (self.whole * values[0].numel())


@cache  # made at the first use, because torch takes seconds to load
def _summing() -> type[torch.autograd.Function]:
    """Operation y = the sum of all processes' x; so the gradient of x is the sum of all processes' gradients of y.

    (torch has the same in `torch.distributed.nn.functional`, deprecated, and in a private module.)
    """
    import torch
    from torch import distributed

    class Summed(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, value: torch.Tensor) -> torch.Tensor:
            total = value.clone()
            distributed.all_reduce(total)
            return total

        @staticmethod
        def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
            return Summed.forward(context, gradients[0])

    return Summed


@contextmanager
def lost_is_one_line() -> Iterator[None]:
    """Inside, a failed exchange between processes is an `LvmError`: its own message would not say what to do."""
    try:
        yield
    except RuntimeError as error:  # gloo has only this; NCCL's DistBackendError is one
        if not any(sign in str(error) for sign in ("onnection", "gloo", "NCCL", "peer", "imed out")):
            raise
        raise LvmError(LOST) from error


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the processes that torchrun started, for the length of the block; alone if it did not.

    With a GPU (`device` as in params.yaml) they talk over NCCL, else over gloo.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    import torch
    from torch import distributed

    ranks = Ranks(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    on_gpu = device != "cpu" and torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(ranks.local)
    with lost_is_one_line():
        distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield ranks
    finally:
        distributed.destroy_process_group()


def speaks() -> bool:
    """Whether this process speaks for its run: the only one, or number 0 (known before anything is imported)."""
    return os.environ.get("RANK", "0") == "0"
