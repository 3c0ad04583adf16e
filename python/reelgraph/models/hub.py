"""The hub's side of a model: resolve a lock, and fetch a locked file so that a cut connection costs nothing.

The client's own download keeps no partial file between two calls, so files are fetched with its lower parts (session,
headers, errors) into a file that stays, and hashed on the way.
"""

from __future__ import annotations

import hashlib
import netrc
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status, http_stream_backoff, logging

from reelgraph.errors import StageError
from reelgraph.models.catalogue import LockedFile, Model

PIECE = 1 << 20
TRANSIENT_STATUS = {408, 429, 500, 502, 503, 504}
LONGEST_WAIT_SECONDS = 900
Result = TypeVar("Result")


class Cut(Exception):
    """The connection ended before the file did."""


FAILURES = (Cut, httpx2.RequestError, httpx2.InvalidURL, HfHubHTTPError, OfflineModeIsEnabled, ValueError, KeyError)


class _Arriving:
    """A file that grows, and the hash of what it has; more than ``size`` bytes cannot be the beginning of the file."""

    def __init__(self, path: Path, size: int, on_bytes: Callable[[int], None]) -> None:
        self.path, self.on_bytes = path, on_bytes
        self.have, self.digest = 0, hashlib.sha256()
        if path.exists() and path.stat().st_size > size:
            path.unlink()
        if path.exists():
            with path.open("rb") as stream:
                while piece := stream.read(PIECE):
                    self.digest.update(piece)
                    self.have += len(piece)

    def add(self, stream: BinaryIO, piece: bytes) -> None:
        """Write the next piece."""
        self.on_bytes(len(piece))
        stream.write(piece)
        self.digest.update(piece)
        self.have += len(piece)

    def start_over(self) -> None:
        """Throw away what has arrived."""
        self.path.write_bytes(b"")
        self.on_bytes(-self.have)
        self.have, self.digest = 0, hashlib.sha256()


@dataclass(frozen=True)
class Hub:
    """A hub to talk to. ``token`` is sent to it and to no other host, and is never printed."""

    endpoint: str
    token: str | None = field(default=None, repr=False)
    retries: int = 5
    timeout: float = constants.HF_HUB_DOWNLOAD_TIMEOUT
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)
    sleep: Callable[[float], None] = time.sleep

    @classmethod
    def from_environment(cls) -> Hub:
        """Return the hub that HF_ENDPOINT names, with the token of HF_TOKEN or of netrc."""
        endpoint = constants.ENDPOINT
        parts = urlsplit(endpoint)
        if parts.username or parts.password:
            raise StageError(
                "HF_ENDPOINT has a user or password in it; put the token into HF_TOKEN or netrc instead", status=2
            )
        return cls(endpoint, find_token(parts.hostname or ""))

    def resolve(self, model: Model) -> tuple[str, list[LockedFile], list[str]]:
        """Return a model's revision, its files with sizes and hashes, and the repository's files that no role wants."""
        if model.repository is None:
            raise StageError(f"model '{model.name}' has no repository: its weights are not published", status=3)
        # The client would print URLs, and those of a content network carry signatures.
        logging.set_verbosity_error()
        api = HfApi(endpoint=self.endpoint, token=self.token or False)
        what = f"model '{model.name}' ({model.repository})"
        # One answer has revision and files together, so they cannot be of two moments.
        info = self._retrying(
            what,
            lambda: api.model_info(model.repository, revision=model.branch, files_metadata=True, timeout=self.timeout),
        )
        entries = sorted(info.siblings, key=lambda entry: entry.rfilename)
        roles = {entry.rfilename: role_of(model, entry.rfilename) for entry in entries}
        absent = [role for role in model.roles if role not in roles.values() and role not in model.optional]
        if absent:
            patterns = " or ".join(model.roles[absent[0]])
            raise StageError(
                f"{what}: has no file for '{absent[0]}' ({patterns}) at {info.sha}; "
                f"mend 'roles' in materials/models/{model.name}.json"
            )
        at_revision = replace(model, revision=info.sha)
        files = [self._lock_file(at_revision, entry, role) for entry in entries if (role := roles[entry.rfilename])]
        return info.sha, files, [path for path, role in roles.items() if role is None]

    def fetch(self, model: Model, file: LockedFile, target: Path, on_bytes: Callable[[int], None]) -> None:
        """Fetch a locked file into ``target``, going on where an earlier call stopped; ``on_bytes`` counts new bytes.

        Raises a StageError that names model and file. What has arrived stays in ``target``, unless its hash is wrong.
        """
        logging.set_verbosity_error()
        what, failures = f"model '{model.name}': {file.path}", 0
        arriving = _Arriving(target, file.size, on_bytes)
        while arriving.have < file.size:
            before = arriving.have
            try:
                self._append(model, file, arriving)
            except FAILURES as error:
                failures = 1 if arriving.have > before else failures + 1
                if not is_transient(error) or failures > self.retries:
                    kept = f"{arriving.have} of {file.size} bytes are kept"
                    raise explain(error, what, f"{kept}, and the same command goes on from there") from error
                self._wait(error, what, failures)
        if (found := arriving.digest.hexdigest()) != file.sha256:
            target.unlink(missing_ok=True)
            raise StageError(
                f"{what}: wrong bytes: its sha256 is {found}, the lock says {file.sha256}; what arrived is thrown "
                "away, run it again, or lock the model anew if its repository is known to have changed"
            )

    def _append(self, model: Model, file: LockedFile, arriving: _Arriving) -> None:
        """Add what the hub sends; raise Cut if it ends early."""
        headers = {"Range": f"bytes={arriving.have}-"} if arriving.have else {}
        with self._get(model, file.path, headers) as response:
            if arriving.have and not _continues_at(response, arriving.have):
                arriving.start_over()
            with arriving.path.open("ab") as stream:
                # In pieces as they come: a cut then costs no byte that was there.
                for piece in response.iter_bytes():
                    if arriving.have + len(piece) > file.size:
                        arriving.start_over()
                        raise StageError(
                            f"model '{model.name}': {file.path}: the hub sends more than the locked {file.size} bytes; "
                            "lock the model anew, or ask the hub's owner"
                        )
                    arriving.add(stream, piece)
        if arriving.have < file.size:
            raise Cut(f"the connection ended after {arriving.have} of {file.size} bytes")

    def _lock_file(self, model: Model, entry: RepoSibling, role: str) -> LockedFile:
        """Return one file's lock. Small files have no sha256 at the hub: they are fetched, checked by git's hash."""
        if entry.rfilename in ("stage.json", "model.json"):
            raise StageError(
                f"model '{model.name}': {entry.rfilename} is a name that Reelgraph uses itself; leave it out of 'roles'"
            )
        if entry.lfs is not None:
            return LockedFile(entry.rfilename, role, entry.lfs.size, entry.lfs.sha256)
        what = f"model '{model.name}': {entry.rfilename}"

        def read() -> bytes:
            with self._get(model, entry.rfilename, {}) as response:
                content = b"".join(response.iter_bytes())
            if len(content) < entry.size:
                raise Cut(f"the connection ended after {len(content)} of {entry.size} bytes")
            return content

        content = self._retrying(what, read)
        if hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() != entry.blob_id:
            raise StageError(
                f"{what}: wrong bytes: they do not have the git hash {entry.blob_id} that the hub lists; run it again"
            )
        return LockedFile(entry.rfilename, role, len(content), hashlib.sha256(content).hexdigest())

    @contextmanager
    def _get(self, model: Model, path: str, headers: dict[str, str]) -> Iterator[httpx2.Response]:
        """Ask for a file of the model's revision; the client keeps the token from hosts that it is sent on to."""
        assert model.repository is not None
        url = hf_hub_url(model.repository, path, revision=model.revision, endpoint=self.endpoint)
        headers = build_hf_headers(token=self.token or False) | {"Accept-Encoding": "identity"} | headers
        # Failures are retried here, where it is known how much arrived.
        once: dict[str, Any] = {"max_retries": 0, "retry_on_exceptions": (), "retry_on_status_codes": ()}
        with http_stream_backoff("GET", url, headers=headers, timeout=self.timeout, **once) as response:
            hf_raise_for_status(response)
            yield response

    def _retrying(self, what: str, call: Callable[[], Result]) -> Result:
        for failures in range(1, self.retries + 2):
            try:
                return call()
            except FAILURES as error:
                if not is_transient(error) or failures > self.retries:
                    raise explain(error, what, "nothing was changed; run it again") from error
                self._wait(error, what, failures)
        raise AssertionError("unreachable")

    def _wait(self, error: Exception, what: str, failures: int) -> None:
        seconds = min(8.0, 2.0 ** (failures - 1))
        if isinstance(error, HfHubHTTPError) and (asked := error.response.headers.get("Retry-After", "")).isdigit():
            seconds = float(asked)
            if seconds > LONGEST_WAIT_SECONDS:
                raise explain(error, what, f"it asks to wait {asked} s; run it again then") from error
        self.say(f"{what}: {reason(error)}; trying again in {seconds:.0f} s ({failures} of {self.retries})")
        self.sleep(seconds)


def find_token(host: str) -> str | None:
    """Return the token of HF_TOKEN, else the password that netrc (or the file that NETRC names) has for ``host``."""
    if token := (os.environ.get("HF_TOKEN") or os.environ.get("HUGGING_FACE_HUB_TOKEN") or "").strip():
        return token
    path = Path(os.environ.get("NETRC") or Path.home() / ".netrc")
    if not path.is_file():
        return None
    try:
        entry = netrc.netrc(str(path)).authenticators(host)
    except netrc.NetrcParseError as error:
        # Its own message may quote the line.
        raise StageError(f"{path}: line {error.lineno} cannot be read; mend it, or set HF_TOKEN", status=2) from None
    return entry[2] if entry else None


def role_of(model: Model, path: str) -> str | None:
    """Return the first role whose patterns match ``path``; ``*`` stops at a slash."""
    for role, patterns in model.roles.items():
        for pattern in patterns:
            if re.fullmatch("[^/]*".join(map(re.escape, pattern.split("*"))), path):
                return role
    return None


def is_transient(error: Exception) -> bool:
    """Whether the same request may well succeed in a moment."""
    if isinstance(error, HfHubHTTPError):
        return error.response.status_code in TRANSIENT_STATUS
    return isinstance(error, Cut | httpx2.TransportError) and not isinstance(error, httpx2.UnsupportedProtocol)


def reason(error: Exception) -> str:
    """Return what went wrong in a few words, without any URL."""
    if isinstance(error, HfHubHTTPError):
        status = error.response.status_code
        return "the hub limits our requests (429)" if status == 429 else f"the hub answers {status}"
    if isinstance(error, httpx2.TimeoutException):
        return "the hub does not answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "the hub cannot be reached"
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.InvalidURL):
        return "HF_ENDPOINT is not the address of a hub (https://HOST)"
    if isinstance(error, httpx2.TooManyRedirects):
        return "the hub sends us in circles"
    if isinstance(error, httpx2.TransportError):
        return "the connection was cut"
    return str(error) if isinstance(error, Cut) else "the answer is not a hub's; check HF_ENDPOINT and any proxy"


def explain(error: Exception, what: str, state: str) -> StageError:
    """Return the sentence for a failure: the thing, what happened, what to do, what is left."""
    token = "set HF_TOKEN, or a netrc entry for the hub's host, to a token that may read it"
    if isinstance(error, OfflineModeIsEnabled):
        return StageError(f"{what}: HF_HUB_OFFLINE is set, so the hub is not asked; unset it", status=3)
    if isinstance(error, GatedRepoError):
        return StageError(
            f"{what}: its owner asks everyone to accept terms first; accept them on the repository's page, "
            f"then {token}; {state}",
            status=3,
        )
    if isinstance(error, RevisionNotFoundError):
        return StageError(f"{what}: the hub no longer has this revision; lock the model anew; {state}", status=3)
    if isinstance(error, RemoteEntryNotFoundError):
        return StageError(
            f"{what}: the hub has no such file at the locked revision; lock the model anew; {state}", status=3
        )
    if isinstance(error, RepositoryNotFoundError):
        return StageError(
            f"{what}: the hub shows no such repository; check its name, and if it is private, {token}; {state}",
            status=3,
        )
    if isinstance(error, HfHubHTTPError) and error.response.status_code in (401, 403):
        return StageError(f"{what}: the hub refuses access ({error.response.status_code}); {token}; {state}", status=3)
    if isinstance(error, HfHubHTTPError) and error.response.status_code == 404:
        return StageError(f"{what}: the hub does not have it (404); lock the model anew; {state}", status=3)
    return StageError(f"{what}: {reason(error)}; {state}", status=3)


def _continues_at(response: httpx2.Response, start: int) -> bool:
    """Whether the reply is the rest of the file from ``start``; a server may ignore the wish and send all of it."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return response.status_code == 206 and match is not None and int(match[1]) == start
