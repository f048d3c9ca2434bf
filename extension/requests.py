"""How Detour's routes read requests: JSON and nothing else, of bounded size, with numbers and
letters that every program can write; and one sentence for what cannot be."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from ..detour.checks import quoted, shortened

LARGEST_BODY = 2**27
"""Bytes of a request."""
LONGEST_WHOLE = 20
"""Digits of a whole number."""


class StrictRoute(APIRoute):
    """A route whose requests are read by `StrictRequest`, once they were let in.

    admit: raises HTTPException for whoever may not come in. The framework's own guards come
    only after a body was read, which is no work to do for strangers.
    """

    admit: Callable[[Request], Coroutine[Any, Any, None]]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler of the framework, with our reading before and our sentence after it."""
        handle = super().get_route_handler()

        async def strict(request: Request) -> Response:
            await self.admit(request)
            if request.method == "POST":
                _require_json(request)
                request = StrictRequest(request.scope, request.receive)
            try:
                return await handle(request)
            except RequestValidationError as error:
                raise HTTPException(422, _told(error)) from None

        return strict


class StrictRequest(Request):
    """A request whose body is read up to a limit, as strict JSON."""

    async def body(self) -> bytes:
        """The whole body. Raises HTTPException 413 for one that is too large."""
        if not hasattr(self, "_body"):
            parts, size = [], 0
            async for part in self.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    raise HTTPException(
                        413,
                        f"The request has more than {LARGEST_BODY:,} bytes: send fewer pictures.",
                    )
                parts.append(part)
            self._body = b"".join(parts)
        return self._body

    async def json(self) -> Any:
        """The JSON of the body. Raises HTTPException 400 for what is none."""
        try:
            return read_json(await self.body())
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, _sentence(error)) from None


def read_json(body: bytes) -> Any:
    """The value of a JSON text in UTF-8.

    Raises ValueError for what is none, for NaN and infinite numbers, for whole numbers of many
    digits and for halves of letters (surrogates); RecursionError for lists within lists.
    """
    value = json.loads(
        body.decode("utf-8"), parse_constant=_finite, parse_float=_finite, parse_int=_whole
    )
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            one.encode("utf-8")
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return value


def _require_json(request: Request) -> None:
    """Refuse every other kind: a page of somebody else's may send those without asking."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise HTTPException(
            415, f"The request is {quoted(kind or 'of no kind')}: send it as application/json."
        )
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and float(length) > LARGEST_BODY:
        raise HTTPException(
            413, f"The request has more than {LARGEST_BODY:,} bytes: send fewer pictures."
        )


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"it holds {shortened(text, 40)}; every number must be finite")
    return number


def _whole(text: str) -> int:
    if len(text) > LONGEST_WHOLE:
        raise ValueError(f"it holds a number of {len(text)} digits")
    return int(text)


def _sentence(error: Exception) -> str:
    why = "lists within lists" if isinstance(error, RecursionError) else str(error)
    return shortened(f"The request cannot be read as JSON in UTF-8 ({why}): correct it.")


def _told(error: RequestValidationError) -> str:
    """What is wrong with the fields, the first few."""
    found = [
        f"{'.'.join(str(place) for place in one['loc'] if place != 'body') or 'the request'}: "
        f"{one['msg']}"
        for one in error.errors()[:3]
    ]
    return shortened(f"The request does not fit. {'; '.join(found)}.")
