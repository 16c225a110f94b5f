"""Parameters of the service that shape what is measured for it (`service` in params.yaml)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lvm_core.params import Group

Fill = Literal["neighbours", "repeat"]
"""How a context of fewer than five chunks is filled up (`lvm_core.continuation.context`)."""


class ServiceParams(Group):
    """Parameters of the service.

    Attributes:
        models: names of the recipes whose confidence is calibrated, beside the selected model's.
        fill: strategy for contexts of fewer than five chunks, unless a request names another.
        steps: most chunks ahead that a request may ask for; confidence is calibrated for each.
    """

    models: list[str]
    fill: Fill
    steps: Annotated[int, Field(ge=1, le=16)]
