"""Latent vector models: read the embeddings of five chunks of a document, predict the next.

Public API: `load_model(directory)`, see `lvm_core.models.checkpoint`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lvm_core.models.checkpoint import LoadedModel, load_model

__all__ = ["LoadedModel", "load_model"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import lvm_core.x` stays cheap for stages without a model."""
    if name in __all__:
        from lvm_core.models import checkpoint

        return getattr(checkpoint, name)
    raise AttributeError(f"module 'lvm_core' has no attribute {name!r}")
