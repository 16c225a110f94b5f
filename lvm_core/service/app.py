"""The HTTP side: routes, refusals in one sentence, and uvicorn with our way of ending."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from lvm_core.runtime.errors import LvmError, printable
from lvm_core.service.bodies import LimitedRoute, refusal
from lvm_core.service.schemas import (
    FAILURES,
    UNHEALTHY,
    ChatAnswer,
    ChatRequest,
    Health,
    Info,
    PredictAnswer,
    PredictRequest,
    RetrieveAnswer,
    RetrieveRequest,
    failures,
)
from lvm_core.service.state import Service
from lvm_core.windows import CONTEXT


def make_app(service: Service) -> FastAPI:
    """The application around a service, which may still be loading."""
    app = FastAPI(
        title="LVM lab",
        description="A latent vector model over HTTP: real text in, the chunks it predicts to come next out.",
        version="1",
        openapi_tags=[
            {"name": "model", "description": "What the model predicts and the bank holds."},
            {"name": "service", "description": "The running service itself."},
        ],
        docs_url=None,  # their pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,  # the redirection would leave out the prefix of a proxy
        servers=[{"url": "."}],  # where this document is, behind a prefix too
        generate_unique_id_function=lambda route: route.name.strip("_"),
    )
    app.router.route_class = LimitedRoute
    _add_refusals(app, service)
    _add_routes(app, service)
    _add_examples(app, service)
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
            response = JSONResponse({"error": FAILURES[500][1]}, 500)
        path = getattr(request.scope.get("route"), "path", "other")
        service.telemetry.answered(request.method, path, response.status_code, time.perf_counter() - begun)
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    app.add_middleware(_HeadAsGet)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> Response:
        return await _refused(request, refusal(error))

    @app.exception_handler(HTTPException)
    async def _refused(request: Request, error: HTTPException) -> Response:
        if error.__cause__ is not None:  # a defect of ours in reading the body, which FastAPI calls a bad request
            raise error.__cause__
        headers = dict(error.headers or {})
        if error.status_code == 405:
            taken = set(headers["Allow"].split(", "))
            headers["Allow"] = ", ".join(sorted(taken | ({"HEAD"} if "GET" in taken else set())))
        sentences = {
            404: "there is no such path; see openapi.json",
            405: f"this path takes {headers.get('Allow')} only",
        }
        return JSONResponse({"error": sentences.get(error.status_code, error.detail)}, error.status_code, headers)


def _add_routes(app: FastAPI, service: Service) -> None:
    page = files("lvm_core.service").joinpath("page.html").read_text(encoding="utf-8")
    headers = {"Content-Security-Policy": content_policy(page), "Referrer-Policy": "no-referrer"}

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def _page() -> Response:
        return HTMLResponse(page, headers=headers)

    @app.get("/health", response_model=Health, responses={503: UNHEALTHY}, tags=["service"], summary="State, and why")
    async def _health() -> Response:
        """Whether requests are answered (ready, degraded) or not (starting, stopping), with the reasons."""
        state = service.health()
        return JSONResponse(state.model_dump(), 200 if state.answers else 503)

    @app.get("/info", response_model=Info, responses=failures(500, 503), tags=["service"], summary="What is served")
    async def _info() -> Response:
        """Recipe, held-out figures, encoder, bank, calibration, limits of requests, versions."""
        return JSONResponse(service.info())

    text: dict[int | str, Any] = {
        200: {"content": {"text/plain": {"example": "# TYPE lvm_ready gauge\nlvm_ready 1.0\n"}}}
    }

    @app.get("/metrics", response_class=PlainTextResponse, responses=text, tags=["service"], summary="For Prometheus")
    async def _metrics() -> Response:
        """Durations, batches, queue, build and process, in Prometheus' text format 0.0.4."""
        return Response(service.telemetry.text(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4})

    model: dict[str, Any] = {"responses": failures(*FAILURES), "tags": ["model"]}

    async def _chat(asked: ChatRequest) -> Response:
        """Real text in: the chunks predicted to come next, with their sources and a calibrated confidence.

        Beside them, to compare: `similar`, the chunks that plain retrieval finds for the last chunk of the text.
        """
        return JSONResponse(await service.answer("chat", asked))

    _chat.__annotations__["asked"] = ChatRequest.up_to(service.settings.steps)  # its limit stands in the schema too
    app.post("/chat", response_model=ChatAnswer, summary="Continue a text", **model)(_chat)

    @app.post("/predict", response_model=PredictAnswer, summary="Predict vectors", **model)
    async def _predict(asked: PredictRequest) -> Response:
        """Contexts of five vectors in, oldest first; the vectors predicted to come next out."""
        return JSONResponse(await service.answer("predict", asked))

    @app.post("/retrieve", response_model=RetrieveAnswer, summary="Find the nearest chunks", **model)
    async def _retrieve(asked: RetrieveRequest) -> Response:
        """A text or a vector in; the nearest chunks of the bank out, best first."""
        return JSONResponse(await service.answer("retrieve", asked))


def _add_examples(app: FastAPI, service: Service) -> None:
    """Gives the schemas of /openapi.json examples, those of vectors when their dimension is known."""
    plain = json.loads(files("lvm_core.service").joinpath("examples.json").read_text(encoding="utf-8"))
    document = app.openapi

    def with_examples() -> dict[str, Any]:
        told, examples = document(), dict(plain)
        if service.reads is not None:
            dimension, texts = service.reads
            vector = [1] * dimension
            examples["PredictRequest"] = [{"contexts": [[vector] * CONTEXT]}]
            examples["RetrieveRequest"] = [*(plain["RetrieveRequest"] if texts else []), {"vector": vector, "count": 3}]
            examples["ChatRequest"] = plain["ChatRequest"] if texts else []
        for name, values in examples.items():
            told["components"]["schemas"][name]["examples"] = values
        return told

    app.openapi = with_examples  # type: ignore[method-assign]


class _HeadAsGet:
    """Handles HEAD as GET. The server, whose scope still says HEAD, sends the headers alone."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand the request on."""
        await self._app({**scope, "method": "GET"} if scope.get("method") == "HEAD" else scope, receive, send)


def content_policy(page: str) -> str:
    """A policy under which the page's own style and script work, and nothing else does."""

    def hashes(tag: str) -> str:
        texts = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"

    return (
        f"default-src 'none'; style-src {hashes('style')}; script-src {hashes('script')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; connections made over it send small packets at once.

    Raises:
        LvmError: the host is empty, which to a socket is every address of the machine, or cannot be listened on.
    """
    if not host.strip():
        raise LvmError("--host is empty: name an address, as 127.0.0.1 (this machine only) or 0.0.0.0 (every network)")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listening = socket.create_server((host, port), family=family, backlog=1024)
    except (OSError, UnicodeError) as error:  # a name that cannot be looked up is the latter
        why = getattr(error, "strerror", None) or printable(error)
        raise LvmError(f"--host {printable(host)} --port {port}: cannot be listened on ({why}); name another") from None
    # Inherited by the connections, for which asyncio does not set it (it does for sockets made with IPPROTO_TCP named):
    # else the second packet of every answer waits 40 ms for the client to acknowledge the first.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def address_of(listening: socket.socket) -> str:
    """The address of a listening socket, to be opened in a browser."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn's server, for which a signal is a good end once the running requests are finished."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, without raising the signal anew at the end."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def serve(service: Service, listening: socket.socket) -> None:
    """Answer at once, load in the background, and return after SIGTERM or Ctrl-C when the last request is answered."""
    config = uvicorn.Config(
        make_app(service),
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=int(service.settings.patience),
        timeout_keep_alive=30,
    )
    server = Server(config)

    def ready(seconds: float) -> None:
        print(f"service: ready after {seconds:.1f} s; open {address_of(listening)}", flush=True)

    def failed() -> None:
        server.should_exit = True

    service.start(ready, failed)
    server.run(sockets=[listening])
    service.close()
    if service.error is not None:
        raise service.error
