"""Latent vector models: read the embeddings of five chunks of a document, predict the next.

Text in, chunks out:

    from lvm_core import load_model
    answer = load_model("data/models/selected").continue_text("The state of the Union is strong. Our work is not done.")
    print([candidate.text for candidate in answer.candidates])
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lvm_core.models.checkpoint import LoadedModel
    from lvm_core.service.loading import TextModel

__all__ = ["LoadedModel", "TextModel", "load_model"]


def load_model(directory: str | Path, bank: str | Path = "data/bank") -> TextModel:
    """The model of a directory: `predict` takes vectors, `continue_text` and `from_texts` take text.

    Args:
        directory: of the model.
        bank: whose chunks answer a text; read when the first text comes. One that the model was not trained on will do
            if it is of the same encoder, but no confidence is stated then.

    Raises:
        LvmError: as `lvm_core.models.checkpoint.load_model`.
    """
    from lvm_core.service.loading import TextModel

    return TextModel(directory, bank)


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `import lvm_core.x` stays cheap for stages without a model."""
    if name in __all__:
        from lvm_core.service import loading

        return getattr(loading, name)
    raise AttributeError(f"module 'lvm_core' has no attribute {name!r}")
