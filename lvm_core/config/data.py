"""The groups of params.yaml that shape the bank: a file of their own, so that no edit to others embeds again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from lvm_core.config.params import Group
from lvm_core.windows import CONTEXT

Text = Annotated[str, Field(min_length=1)]

ENCODERS = Path("encoders")
"""Folder of the encoders: `encoder.model` names one there, which is a dependency of the pipeline."""


def link_remedy(place: Path, name: str) -> str:
    """What to do with an encoder that lies elsewhere."""
    link = f"run `ln -s {place.absolute()} {ENCODERS / name}` and "
    own = place.parent == ENCODERS
    return (
        f"must be a folder in {ENCODERS}/, where DVC sees its changes; {'' if own else link}set encoder.model: {name}"
    )


class DataParams(Group):
    """Where the data come from."""

    kind: Literal["text", "vectors"]
    """`text` (chunked and encoded here) or `vectors` (brought by the user)."""
    train: Text
    """Source of the splits train, dev and val. Text: a name of `READERS`, or a folder. Vectors: a file, or a folder of
    files."""
    ood: Text | None
    """Source of the split ood, another one; null, with vectors, for none."""
    encoder: Text | None
    """Name of the encoder of the vectors brought, for the record; null if unknown."""
    text_column: Text | None = None
    """Column or field of the files brought that holds the text; null: a usual name (`text`). The others likewise."""
    id_column: Text | None = None
    title_column: Text | None = None
    vector_column: Text | None = None

    @field_validator("train", "ood")
    @classmethod
    def _is_a_path(cls, value: str | None) -> str | None:
        if value is not None and "\0" in value:
            raise ValueError("holds a null character, which no path has")
        return value

    @field_validator("ood", "encoder")
    @classmethod
    def _fits_the_kind(cls, value: str | None, info: ValidationInfo) -> str | None:
        text = info.data.get("kind") == "text"
        if text and info.field_name == "ood" and value is None:
            raise ValueError("must be another source than data.train when data.kind is 'text'")
        if text and info.field_name == "encoder" and value is not None:
            raise ValueError("is for data.kind 'vectors'; of text set encoder.model")
        return value


class CorpusParams(Group):
    """How articles become chunks."""

    min_chars: Annotated[int, Field(ge=1, description="shortest chunk")]
    max_chars: Annotated[int, Field(ge=3, le=1_000_000)]
    """Longest chunk; more than twice `min_chars`, so that any longer text divides into allowed pieces."""
    max_pieces: Literal["auto"] | Annotated[int, Field(ge=8, le=1_000_000)] | None = None
    """Most word pieces of a chunk, by the tokenizer of `encoder.model`: a number, `auto` (what the encoder reads), or
    null for any number; what is beyond what the encoder reads is cut off when it encodes."""
    min_chunks: Annotated[int, Field(ge=CONTEXT + 1)]
    """Articles with fewer chunks are left out; at least one window's worth."""
    short: Literal["join", "drop"]
    """What happens to a paragraph under `min_chars`: `join` it to the next one, or `drop` it."""
    max_train_articles: Annotated[int, Field(ge=3)] | None
    """Take this many articles of the training source, spread evenly; null for all. At least three, because train, dev
    and val need one each."""
    max_ood_articles: Annotated[int, Field(ge=1)] | None
    """The same for the other source."""

    @field_validator("max_chars")
    @classmethod
    def _room_for_two(cls, value: int, info: ValidationInfo) -> int:
        shortest = info.data.get("min_chars")
        if shortest is not None and value <= 2 * shortest:
            raise ValueError(
                f"must be more than twice corpus.min_chars = {shortest}, so that a longer text divides into chunks"
            )
        return value


class SplitParams(Group):
    """Shares of the training source's articles; the rest is `train`."""

    dev: Annotated[float, Field(gt=0, lt=1, description="share for `dev`, which chooses")]
    val: Annotated[float, Field(gt=0, lt=1, description="share for `val`, which only reports")]

    @field_validator("val")
    @classmethod
    def _leaves_some(cls, value: float, info: ValidationInfo) -> float:
        dev = info.data.get("dev")
        if dev is not None and dev + value >= 1:
            raise ValueError(f"leaves nothing to train on with split.dev = {dev}")
        return value


class EncoderParams(Group):
    """Parameters of the encoder (`encoder` in params.yaml)."""

    model: Annotated[str, Field(min_length=1, description="name of a folder (or of a link to one) in encoders/")]
    batch_size: Annotated[int, Field(ge=1, le=4096, description="chunks a forward pass")]
    dtype: Annotated[Literal["float32", "float16"], Field(description="of the bank's vectors")]

    @field_validator("model")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        place = Path(value)
        if "\0" in value or place.name in ("", ".."):
            raise ValueError(f"must be the name of a folder in {ENCODERS}/")
        if place.is_absolute() or ".." in place.parts or (place.name != value and place.is_dir()):
            raise ValueError(link_remedy(place, place.name))
        return value
