"""Asking and telling the webservice over HTTPS: questions up to four times, what changes something once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from reelgraph.builder.clock import Clock
from reelgraph.builder.credentials import Credentials
from reelgraph.builder.provider import (
    CredentialsRefused,
    FateUnknown,
    NotSent,
    ProviderError,
    RateLimited,
    Unreachable,
)
from reelgraph.builder.providers.robot.answers import error_of, inner, parse, unwrap

_TRIES = 4
_PATIENCE_SECONDS = 30.0
_DEFAULT_INTERVAL = 3600.0


class Webservice:
    """A connection that obeys the webservice's limits; ``time`` is its clock as of its last answer."""

    def __init__(
        self,
        credentials: Credentials,
        clock: Clock,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._client = httpx.Client(
            base_url=credentials.url,
            auth=httpx.BasicAuth(credentials.user, credentials.password),
            headers={"Accept": "application/json", "User-Agent": "reelgraph"},
            # A connection that the other side has silently closed would make an order's fate unknown for nothing.
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=_PATIENCE_SECONDS,
            transport=transport,
        )
        self.time: datetime | None = None
        self._silent_until = 0.0
        self._refused: CredentialsRefused | None = None

    def entries(self, path: str, envelope: str) -> list[dict[str, Any]]:
        """Return a list; an empty one is answered with 404."""
        response = self._ask(path)
        if response is None:
            return []
        value = parse(response.json)
        if not isinstance(value, list):
            raise Unreachable(f"{path}: expected a list; the provider's answer cannot be used")
        return [parse(inner, entry, envelope) for entry in value]

    def get(self, path: str, envelope: str) -> Any:
        """Return one thing, or None if there is none."""
        response = self._ask(path)
        return None if response is None else parse(unwrap, response, envelope)

    def _ask(self, path: str) -> httpx.Response | None:
        """GET, trying again what may pass; None for "not found"."""
        problem = ""
        for attempt in range(_TRIES):
            if attempt:
                self._clock.sleep(2.0 ** (attempt - 1))
            self._check_silence()
            try:
                response = self._client.get(path)
                self._note_time(response)
                error = error_of(response)
                if response.is_success:
                    response.json()
                    return response
            except (httpx.RequestError, ValueError) as failure:
                problem = str(failure) or type(failure).__name__
                continue
            if response.status_code == 404 and error:
                return None
            if response.status_code in (401, 403) and error:
                raise self.refusal(response, error)
            problem = f"status {response.status_code}"
        raise Unreachable(f"the provider gives no usable answer to {path} ({problem}); try again later")

    def change(self, method: str, path: str, form: Mapping[str, Any] | None) -> httpx.Response:
        """Send once. Only what failed before it left is NotSent; what failed later has an unknown fate."""
        self._check_silence()
        try:
            response = self._client.request(method, path, data=form)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            raise NotSent(f"the provider cannot be reached ({error}); nothing was sent") from error
        except httpx.RequestError as error:
            raise FateUnknown(
                f"{method} {path} was sent and its answer lost ({str(error) or type(error).__name__})"
            ) from error
        self._note_time(response)
        return response

    def _check_silence(self) -> None:
        if self._refused is not None:
            raise self._refused
        left = self._silent_until - self._clock.monotonic()
        if left > 0:
            raise RateLimited(f"the provider asked for silence; try again in {left:.0f} s", left)

    def _note_time(self, response: httpx.Response) -> None:
        try:
            self.time = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError):
            return

    def _is_known(self) -> bool:
        """Whether the credentials are good for reading: ordering is allowed apart from that."""
        try:
            return self._client.get("/server").status_code in (200, 404)
        except httpx.RequestError:
            return False

    def refusal(self, response: httpx.Response, error: Mapping[str, Any] | None) -> ProviderError:
        """Return what a refusal means, and remember what must not be tried again."""
        if error is None:
            return Unreachable(f"the provider answered with status {response.status_code}")
        words = f"{error['code']}: {error['message']}"
        if response.status_code == 401:
            if "/order" in response.request.url.path and self._is_known():
                return ProviderError(
                    "ordering is not switched on for this webservice user; do so in the provider's web page", status=3
                )
            self._refused = CredentialsRefused(
                f"the provider refused the credentials ({words}); mend them before the next try", status=3
            )
            return self._refused
        if error["code"] == "RATE_LIMIT_EXCEEDED":
            interval = float(error["interval"]) if isinstance(error.get("interval"), int) else _DEFAULT_INTERVAL
            self._silent_until = self._clock.monotonic() + interval
            return RateLimited(f"too many requests ({words}); try again in {interval:.0f} s", interval)
        fields = [str(name) for key in ("missing", "invalid") for name in (error.get(key) or [])]
        return ProviderError(f"the provider refused: {words}{' (' + ', '.join(fields) + ')' if fields else ''}")
