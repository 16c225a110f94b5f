"""What comes in: bodies within limits, and what is wrong with them in one sentence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from lvm_core.config.params import shown
from lvm_core.runtime.errors import printable
from lvm_core.service.schemas import BODY_BYTES, BODY_SECONDS, DIGITS
from lvm_core.service.state import Refused

SHOWN = 157
"""Characters of a request that a refusal shows at most."""


class LimitedRoute(APIRoute):
    """A route that reads bodies with the limits of `_Limited`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's, with the body read by `_Limited`."""
        handle = super().get_route_handler()

        async def limited(request: Request) -> Response:
            return await handle(_Limited(request.scope, request.receive))

        return limited


class _Limited(Request):
    """A request whose body is JSON, not too large, too slow or too deep, or is refused with 400, 408, 413 or 415."""

    async def body(self) -> bytes:
        coding = ", ".join(self.headers.getlist("content-encoding")).strip().lower()
        if coding not in ("", "identity"):
            sentence = f"the body must not be compressed: send it without Content-Encoding: {printable(coding, SHOWN)}"
            raise HTTPException(415, sentence, {"Accept-Encoding": "identity"})
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "the body must be JSON: send the header Content-Type: application/json")
        too_large = Refused(413, f"the body is larger than {BODY_BYTES:,} bytes")
        length = self.headers.get("content-length", "0")
        if length.isdecimal() and len(length) < 20 and int(length) > BODY_BYTES:
            raise too_large
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for part in self.stream():
                    body += part
                    if len(body) > BODY_BYTES:
                        raise too_large
        except ClientDisconnect:
            raise Refused(400, "the body ended early") from None
        except TimeoutError:
            raise Refused(408, f"the body did not come within {BODY_SECONDS:g} seconds") from None
        self._body = bytes(body)
        return self._body or b" "  # FastAPI would not look at an empty one

    async def json(self) -> Any:
        if b"\0" in self._body[:2]:
            raise Refused(400, "the body is not UTF-8: it begins like UTF-16 or UTF-32")
        try:
            text = self._body.decode("utf-8").removeprefix("\ufeff")
            return json.loads(text, parse_constant=_no_constant, parse_int=_whole_number)
        except RecursionError:
            raise Refused(400, "the body is nested too deeply") from None
        except UnicodeDecodeError as error:
            raise Refused(400, f"the body is not UTF-8: byte {error.start} is wrong") from None
        except ValueError as error:
            raise Refused(400, f"the body is not valid JSON: {printable(error, SHOWN)}") from None


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _whole_number(digits: str) -> int:
    if len(digits) > DIGITS:
        raise ValueError(f"a number has {len(digits):,} digits, at most {DIGITS} are read")
    return int(digits)


def refusal(error: RequestValidationError) -> Refused:
    """The first mistake, with the name of the field and the limit."""
    first = error.errors()[0]
    where = printable(".".join(map(str, first["loc"][1:])), SHOWN)
    if first["type"] == "model_attributes_type" or (first["type"] == "missing" and not where):
        return Refused(422, "the body must be a JSON object")
    if first["type"] == "string_unicode":
        return Refused(400, "a text holds half of a surrogate pair, which is no character")
    if first["type"] == "extra_forbidden":
        return Refused(422, f"{where}: is no field of this request; see openapi.json")
    value, message = first["input"], printable(first["msg"].removeprefix("Value error, "), SHOWN)
    told = f" (it is {printable(shown(value), SHOWN)})" if isinstance(value, int | float | bool) else ""
    return Refused(422, f"{where}: {message}{told}" if where else message)
