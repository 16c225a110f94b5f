"""Requests, answers and their limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model, model_validator

from lvm_core.config.data import CorpusParams
from lvm_core.config.groups import Fill, ServiceParams
from lvm_core.config.params import PARAMS_FILE, load_group, read_params
from lvm_core.windows import CONTEXT

BODY_BYTES = 4 << 20
"""Enough for the most contexts of 768 dimensions, written in full."""
BODY_SECONDS = 10.0
DIGITS = 400
"""Of a whole number in a body."""
MESSAGES = 5
CHARACTERS = 20_000
"""Of a paragraph, a message or a text."""
CANDIDATES = 20
RETRIEVED = 50
VECTORS = 64
"""Contexts of one /predict."""


@dataclass(frozen=True)
class Settings:
    """What the command line (see its --help) and params.yaml set."""

    fill: Fill = "repeat"
    steps: int = 5
    min_chars: int = 120
    """Of a chunk, as in the corpus the model was trained on; `max_chars` likewise."""
    max_chars: int = 800
    max_pieces: int | Literal["auto"] | None = "auto"
    """Likewise; `auto`: what the encoder reads."""
    threads: int = 2
    queue: int = 64
    max_batch: int = 16
    patience: float = 30.0
    """Seconds after which a waiting request is answered with 503."""
    notice: str | None = None
    """Shown on the page."""

    @classmethod
    def configured(cls, **given: Any) -> Settings:
        """What is given over params.yaml (where there is one) over the defaults."""
        values: dict[str, Any] = {}
        if PARAMS_FILE.is_file():
            params = read_params()
            service = load_group(params, "service", ServiceParams)
            corpus = load_group(params, "corpus", CorpusParams)
            values |= {"fill": service.fill, "steps": service.steps}
            values |= {"min_chars": corpus.min_chars, "max_chars": corpus.max_chars}
            values["max_pieces"] = corpus.max_pieces
        return cls(**(values | given))


def _has_text(text: str) -> str:
    if not text.split():  # as the chunker splits: to Python some control characters are white space too
        raise ValueError("holds no text")
    return text


Text = Annotated[str, Field(min_length=1, max_length=CHARACTERS), AfterValidator(_has_text)]

Number = Annotated[float, Field(ge=-1e6, le=1e6)]

Vector = Annotated[list[Number], Field(min_length=1, max_length=8192)]


class Asked(BaseModel):
    """A request."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class ChatRequest(Asked):
    """One paragraph, cut into chunks as the corpus was, or one to five messages, oldest first."""

    paragraph: Text | None = None
    messages: Annotated[list[Text], Field(min_length=1, max_length=MESSAGES)] | None = None
    steps: Annotated[int, Field(ge=1, le=16, description="Chunks ahead.")] = 1
    candidates: Annotated[int, Field(ge=1, le=CANDIDATES, description="Texts of each step.")] = 5
    fill: Annotated[Fill | None, Field(description="What fills a context of less than five chunks.")] = None

    @model_validator(mode="after")
    def _one_of_two(self) -> ChatRequest:
        if (self.paragraph is None) == (self.messages is None):
            raise ValueError("give exactly one of paragraph and messages")
        return self

    @classmethod
    def up_to(cls, most: int) -> type[ChatRequest]:
        """This request as a service takes it that predicts at most so many steps ahead."""
        steps = Annotated[int, Field(ge=1, le=most, description="Chunks ahead.")]
        return create_model(cls.__name__, __base__=cls, __doc__=cls.__doc__, steps=(steps, 1))


class PredictRequest(Asked):
    """Contexts of five vectors, oldest first, and what a model with a memory sees beside each."""

    contexts: Annotated[
        list[Annotated[list[Vector], Field(min_length=CONTEXT, max_length=CONTEXT)]],
        Field(min_length=1, max_length=VECTORS),
    ]
    memory: Annotated[
        Annotated[list[Vector], Field(max_length=VECTORS)] | None,
        Field(
            description="One vector a context, as LoadedModel.memory_of gives it of all chunks read so far; null: that "
            "of the five. A model that sees the context alone does not look at it."
        ),
    ] = None

    @model_validator(mode="after")
    def _one_each(self) -> PredictRequest:
        if self.memory is not None and len(self.memory) != len(self.contexts):
            raise ValueError(f"memory has {len(self.memory)} vectors, contexts are {len(self.contexts)}: give one each")
        return self


class RetrieveRequest(Asked):
    """A text or a vector, and how many chunks of the bank to return."""

    text: Text | None = None
    vector: Vector | None = None
    count: Annotated[int, Field(ge=1, le=RETRIEVED)] = 5

    @model_validator(mode="after")
    def _one_of_two(self) -> RetrieveRequest:
        if (self.text is None) == (self.vector is None):
            raise ValueError("give exactly one of text and vector")
        return self


class Source(BaseModel):
    """A chunk of the bank: score is its cosine with the vector asked for."""

    text: str
    title: str
    article_id: str
    source: str
    chunk_index: int
    score: float


class Slot(BaseModel):
    """A place of the context: who filled it, and how like it the first prediction is (cosine)."""

    text: str
    source: Literal["you", "bank", "repeated"]
    title: str | None
    similarity: float


class ContextUsed(BaseModel):
    """How the five places were filled."""

    mode: Literal["given", "neighbours", "repeat"]
    given: int
    slots: list[Slot]


Confidence = Annotated[
    float | None,
    Field(
        description="Observed rate: of predictions on held-out text of the training source that stood out as much, "
        "this share had the true next chunk among the five nearest of the bank; null where it was not measured. By how "
        "much it is off on further held-out text and on another source stands in /info under calibration.bias."
    ),
]


class Step(BaseModel):
    """A prediction: times are those of the batch it was in."""

    step: int
    confidence: Confidence
    candidates: list[Source]
    latency_ms: dict[str, float]


class ChatAnswer(BaseModel):
    """The continuation."""

    response: str
    confidence: Confidence
    confidence_note: str
    chunks_used: int
    input_chunks: list[str]
    read_before: int = Field(
        default=0,
        description="Chunks of the text before the five, of which the model reads the mean; 0 for a model that sees "
        "the five alone.",
    )
    dropped_chunks: int = Field(description="Older chunks of the text that were not read at all.")
    context: ContextUsed
    steps: list[Step]
    similar: list[Source] = Field(
        default_factory=list,
        description="Plain retrieval, to compare: the chunks nearest to the last chunk of the context itself.",
    )
    latency_breakdown: dict[str, float]
    total_latency_ms: float
    model: str

    @property
    def candidates(self) -> list[Source]:
        """The chunks nearest to the first prediction, best first."""
        return self.steps[0].candidates


class PredictAnswer(BaseModel):
    """Unit vectors, one a context."""

    vectors: list[list[float]]
    model: str
    latency_ms: float


class RetrieveAnswer(BaseModel):
    """The nearest chunks, best first."""

    candidates: list[Source]
    latency_ms: float


class Health(BaseModel):
    """State of the service: why it is not simply ready stands in `reasons`."""

    status: Literal["starting", "ready", "degraded", "stopping"]
    reasons: list[str]
    model: str
    uptime_s: float

    @property
    def answers(self) -> bool:
        """Whether requests are answered."""
        return self.status in ("ready", "degraded")


class Info(BaseModel):
    """Model, held-out figures, encoder, bank and limits, as /info has them."""

    model_config = ConfigDict(extra="allow")

    model: dict[str, Any]
    metrics: dict[str, Any]
    encoder: dict[str, Any] | None
    bank: dict[str, Any]
    calibration: dict[str, Any] | None
    limits: dict[str, int]
    fill: Fill
    notice: str | None
    versions: dict[str, str]


class Failure(BaseModel):
    """What is answered instead: one sentence."""

    error: str


FAILURES = {
    400: (
        "The body is no JSON, or ends early.",
        "the body is not valid JSON: Expecting value: line 1 column 1 (char 0)",
    ),
    408: ("The body comes too slowly.", f"the body did not come within {BODY_SECONDS:g} seconds"),
    413: ("The body is too large.", f"the body is larger than {BODY_BYTES:,} bytes"),
    415: (
        "The body is not said to be JSON, or is compressed (Content-Encoding).",
        "the body must be JSON: send the header Content-Type: application/json",
    ),
    422: ("A field is missing, unknown or beyond its limit.", "the body must be a JSON object"),
    429: ("Too many requests wait.", "busy: 64 requests wait already"),
    500: ("A defect of the service.", "the service failed on this request; its log says why"),
    503: ("The service is starting or stopping, or the answer took too long.", "the service is starting"),
}
"""Statuses of what is not answered: what each means, and such a sentence."""


def failures(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses as an OpenAPI document describes them."""
    again = {"Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}}}
    return {
        status: {
            "model": Failure,
            "description": FAILURES[status][0],
            "content": {"application/json": {"example": {"error": FAILURES[status][1]}}},
            **({"headers": again} if status in (429, 503) else {}),
        }
        for status in statuses
    }


UNHEALTHY = {
    "model": Health,
    "description": "Requests are not answered.",
    "content": {
        "application/json": {
            "example": {
                **{"status": "starting", "reasons": ["model, bank and encoder are being loaded"]},
                **{"model": "selected", "uptime_s": 2.5},
            }
        }
    },
}
"""The state of a service that does not answer, likewise."""
