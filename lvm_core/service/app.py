"""The HTTP side: routes, refusals in one sentence, and nothing of the inside in an answer."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import time
from collections.abc import Awaitable, Callable
from importlib.resources import files
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lvm_core.config.params import shown
from lvm_core.service.schemas import (
    BODY_BYTES,
    BODY_SECONDS,
    DIGITS,
    Asked,
    ChatAnswer,
    ChatRequest,
    Failure,
    Health,
    PredictAnswer,
    PredictRequest,
    RetrieveAnswer,
    RetrieveRequest,
)
from lvm_core.service.state import Refused, Service

A = TypeVar("A", bound=Asked)
PAGE = "page.html"


def make_app(service: Service) -> FastAPI:
    """The application around a service, which may still be loading."""
    app = FastAPI(
        title="LVM lab",
        description="A latent vector model over HTTP: real text in, the chunks it predicts to come next out.",
        version="1",
        docs_url=None,  # their pages load scripts from other hosts
        redoc_url=None,
    )
    page = files("lvm_core.service").joinpath(PAGE).read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": content_policy(page), "Referrer-Policy": "no-referrer"}

    _add_refusals(app, service)
    _add_reports(app, service, page, headers)
    _add_work(app, service)
    return app


def _add_refusals(app: FastAPI, service: Service) -> None:
    """Every answer is counted, every refusal is one sentence."""

    @app.middleware("http")
    async def _measured(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        begun = time.perf_counter()
        try:
            response = await go_on(request)
        except Exception as error:  # a defect of ours: told to the log, not to the client
            service.log_failure(error)
            response = failure(500, "the service failed on this request; its log says why")
        route = request.scope.get("route")
        path = getattr(route, "path", "other")
        service.telemetry.answered(path, response.status_code, time.perf_counter() - begun)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    @app.exception_handler(Refused)
    async def _refused(request: Request, error: Refused) -> Response:
        return failure(error.status, error.sentence, error.retry_after)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> Response:
        allowed = (error.headers or {}).get("Allow")
        sentence = {404: "there is no such path; see /openapi.json", 405: f"this path takes {allowed} only"}
        return failure(error.status_code, sentence.get(error.status_code, str(error.detail)))


def _add_reports(app: FastAPI, service: Service, page: str, headers: dict[str, str]) -> None:
    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def _page() -> Response:
        return HTMLResponse(page, headers=headers)

    @app.get("/health", response_model=Health, responses={503: {"model": Health}}, summary="State, and why")
    async def _health() -> Response:
        state = service.health()
        return JSONResponse(state, status_code=200 if state["status"] in ("ready", "degraded") else 503)

    @app.get("/info", responses=_failures(503), summary="Model, figures, encoder, bank, limits")
    async def _info() -> dict[str, Any]:
        return service.info()

    @app.get("/metrics", response_class=Response, summary="Figures of the running service, for Prometheus")
    async def _metrics() -> Response:
        return Response(service.telemetry.text(service.waiting), media_type="text/plain; version=0.0.4")


def _add_work(app: FastAPI, service: Service) -> None:
    @app.post("/chat", response_model=ChatAnswer, openapi_extra=_body(ChatRequest), responses=_failures())
    async def _chat(request: Request) -> Response:
        """Real text in: the chunks predicted to come next, with their sources and a calibrated confidence."""
        asked = await parse(request, ChatRequest)
        return JSONResponse(await service.answer("chat", service.checked_chat(asked)))

    @app.post("/predict", response_model=PredictAnswer, openapi_extra=_body(PredictRequest), responses=_failures())
    async def _predict(request: Request) -> Response:
        """Contexts of five vectors in, predicted vectors out."""
        asked = await parse(request, PredictRequest)
        return JSONResponse(await service.answer("predict", service.checked_vectors(asked)))

    @app.post("/retrieve", response_model=RetrieveAnswer, openapi_extra=_body(RetrieveRequest), responses=_failures())
    async def _retrieve(request: Request) -> Response:
        """A text or a vector in, the nearest chunks of the bank out."""
        asked = await parse(request, RetrieveRequest)
        return JSONResponse(await service.answer("retrieve", service.checked_retrieval(asked)))


def failure(status: int, sentence: str, retry_after: int | None = None) -> JSONResponse:
    """An answer that says in one sentence what is wrong."""
    headers = {"Retry-After": str(retry_after)} if retry_after is not None else None
    return JSONResponse({"error": sentence}, status_code=status, headers=headers)


async def parse(request: Request, kind: type[A]) -> A:
    """The body as a request of this kind.

    Raises:
        Refused: 400, 408, 413, 415 or 422, with a sentence that names the field and the limit.
    """
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media != "application/json":
        raise Refused(415, "the body must be JSON: send the header Content-Type: application/json")
    body = await _read(request)
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_no_constant, parse_int=_whole_number)
    except RecursionError:
        raise Refused(400, "the body is nested too deeply") from None
    except UnicodeDecodeError as error:
        raise Refused(400, f"the body is not UTF-8: byte {error.start} is wrong") from None
    except ValueError as error:
        raise Refused(400, f"the body is not valid JSON: {_short(str(error))}") from None
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise _refusal(error) from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits, at most {DIGITS} are read")
    return int(digits)


async def _read(request: Request) -> bytes:
    """The body, no more of it than is allowed, and not for ever."""
    too_large = Refused(413, f"the body is larger than {BODY_BYTES:,} bytes")
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and len(length) < 20 and int(length) > BODY_BYTES:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > BODY_BYTES:
                    raise too_large
    except ClientDisconnect:
        raise Refused(400, "the body ended early") from None
    except TimeoutError:
        raise Refused(408, f"the body did not come within {BODY_SECONDS:g} seconds") from None
    return bytes(body)


def _refusal(error: ValidationError) -> Refused:
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "model_type":
        return Refused(422, "the body must be a JSON object")
    if first["type"] == "string_unicode":
        return Refused(400, "a text holds half of a surrogate pair, which is no character")
    if first["type"] == "extra_forbidden":
        return Refused(422, f"{_short(where)}: is no field of this request; see /openapi.json")
    value = first["input"]
    told = f" (it is {_short(shown(value))})" if isinstance(value, int | float | bool) else ""
    return Refused(422, f"{_short(where)}: {_short(message)}{told}" if where else _short(message))


def _short(text: str) -> str:
    """Text that may stem from a request, short and printable."""
    safe = "".join(character if character.isprintable() else "?" for character in text)
    return safe if len(safe) <= 160 else f"{safe[:157]}..."


def content_policy(page: str) -> str:
    """A policy under which the page's own style and script work, and nothing else does."""
    hashes = {
        tag: " ".join(_hash(text) for text in re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)) or "'none'"
        for tag in ("style", "script")
    }
    return (
        f"default-src 'none'; style-src {hashes['style']}; script-src {hashes['script']}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    schema = kind.model_json_schema()
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _failures(*only: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure} for status in only or (400, 408, 413, 415, 422, 429, 503)}
