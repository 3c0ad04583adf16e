"""A hub on loopback: the part of its HTTP API that huggingface_hub uses, with faults on demand.

Small files are answered directly, large ones by a redirect to a second host (the content network), as by the real one.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_secretTokenThatMustNeverBeSeen"


@dataclass(frozen=True)
class Fault:
    """How one request goes wrong: a status with the hub's own error code, or a body that is cut or altered."""

    status: int = 0
    code: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    cut_after: int | None = None
    declared_short: int | None = None
    altered_at: int | None = None
    ignores_range: bool = False
    body: bytes | None = None
    hangs: bool = False
    moves_to: str = ""


@dataclass(frozen=True)
class Seen:
    """A request as it arrived: at the hub or at the content network, with which path, range and token."""

    where: str
    path: str
    range: str | None
    token: str | None


@dataclass
class Repository:
    """A repository of the hub: its revision and its files; files of ``large`` bytes or more are kept as LFS does."""

    revision: str
    files: dict[str, bytes]
    large: int = 1000
    private: bool = False
    gated: bool = False
    # For files too big to hold: (size, piece) -> bytes.
    generated: dict[str, tuple[int, str, Callable[[int, int], bytes]]] = field(default_factory=dict)

    def is_large(self, path: str) -> bool:
        """Whether the file is kept apart, under its sha256."""
        return path in self.generated or len(self.files[path]) >= self.large

    def describe(self, path: str) -> dict[str, object]:
        """Return the file's entry in the list of files."""
        if path in self.generated:
            size, sha256, _ = self.generated[path]
        else:
            size, sha256 = len(self.files[path]), hashlib.sha256(self.files[path]).hexdigest()
        content = f"pointer to {sha256}".encode() if self.is_large(path) else self.files[path]
        entry: dict[str, object] = {"rfilename": path, "size": size}
        entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if self.is_large(path):
            entry["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 130}
        return entry

    def read(self, path: str, start: int, end: int) -> bytes:
        """Return a piece of a file."""
        return self.generated[path][2](start, end) if path in self.generated else self.files[path][start:end]


class LocalHub:
    """The hub and its content network, each a server on its own port; use as a context manager."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Seen] = []
        self.sent = 0
        self._faults: dict[str, deque[Fault]] = {}
        self._lock = threading.Lock()
        self._released = threading.Event()
        self._hub = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, "hub"))
        self._network = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, "network"))

    @property
    def endpoint(self) -> str:
        """The value for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self._hub.server_port}"

    @property
    def network(self) -> str:
        """The content network's address."""
        return f"http://127.0.0.1:{self._network.server_port}"

    def __enter__(self) -> LocalHub:
        for server in (self._hub, self._network):
            server.daemon_threads = True
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._released.set()
        for server in (self._hub, self._network):
            server.shutdown()
            server.server_close()

    def fail(self, path: str, *faults: Fault) -> None:
        """Let the next requests for a file (or for ``revision``, the list of files) go wrong, one fault each."""
        self._faults.setdefault(path, deque()).extend(faults)

    def next_fault(self, path: str) -> Fault | None:
        """Return the fault that this request has coming."""
        with self._lock:
            waiting = self._faults.get(path)
            return waiting.popleft() if waiting else None

    def note(self, seen: Seen) -> None:
        """Remember a request."""
        with self._lock:
            self.requests.append(seen)

    def count(self, sent: int) -> None:
        """Count bytes of files that went out."""
        with self._lock:
            self.sent += sent

    def wait(self) -> None:
        """Hang until the hub is shut down."""
        self._released.wait(60)


def _handler(hub: LocalHub, where: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            """Answer without a body."""
            self._answer(body=False)

        def do_GET(self) -> None:
            """Answer."""
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            path = unquote(urlsplit(self.path).path).strip("/")
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
            hub.note(Seen(where, path, self.headers.get("Range"), token))
            try:
                if where == "network":
                    repository, _, file = path.partition("/at/")
                    self._send_file(hub.repositories[repository], file, body)
                elif path.startswith("api/models/"):
                    self._api(path.removeprefix("api/models/"), token)
                else:
                    self._resolve(path, token, body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        def _api(self, path: str, token: str | None) -> None:
            name = "/".join(path.split("/")[:2])
            verb = path.split("/")[2]
            if self._fails(verb) or (repository := self._repository(name, token)) is None:
                return
            revision = path.split("/")[3]
            if revision not in ("main", repository.revision):
                self._refuse(404, "RevisionNotFound")
            else:
                paths = sorted({*repository.files, *repository.generated})
                with_files = parse_qs(urlsplit(self.path).query).get("blobs") == ["true"]
                files = [repository.describe(path) if with_files else {"rfilename": path} for path in paths]
                self._json({"id": name, "sha": repository.revision, "siblings": files})

        def _resolve(self, path: str, token: str | None, body: bool) -> None:
            name, _, rest = path.partition("/resolve/")
            revision, _, file = rest.partition("/")
            if self._fails(file, only_status=True) or (repository := self._repository(name, token)) is None:
                return
            if revision not in ("main", repository.revision):
                self._refuse(404, "RevisionNotFound")
            elif file not in repository.files and file not in repository.generated:
                self._refuse(404, "EntryNotFound")
            elif repository.is_large(file):
                self.send_response(302)
                self.send_header("Location", f"{hub.network}/{name}/at/{file}?signature=hubSignature")
                self.send_header("Content-Length", "0")
                self.end_headers()
            else:
                self._send_file(repository, file, body)

        def _send_file(self, repository: Repository, file: str, body: bool) -> None:
            fault = hub.next_fault(file) or Fault()
            if self._applies(fault):
                return
            size = repository.describe(file)["size"]
            assert isinstance(size, int)
            start, wanted = 0, self.headers.get("Range")
            if wanted and not fault.ignores_range:
                start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= size and size:
                self._refuse(416, "")
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
            end = size if fault.declared_short is None else min(size, start + fault.declared_short)
            self.send_header("Content-Length", str(end - start))
            self.end_headers()
            stop = end if fault.cut_after is None else min(end, start + fault.cut_after)
            while body and start < stop:
                piece = bytearray(repository.read(file, start, min(stop, start + (1 << 18))))
                if fault.altered_at is not None and start <= fault.altered_at < start + len(piece):
                    piece[fault.altered_at - start] ^= 1
                # Counted before it is sent: whoever has all of a file must find all of it counted.
                hub.count(len(piece))
                self.wfile.write(piece)
                start += len(piece)
            if stop < end:
                self.wfile.flush()
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)

        def _fails(self, what: str, only_status: bool = False) -> bool:
            waiting = hub._faults.get(what)
            if not waiting or (only_status and not (waiting[0].status or waiting[0].moves_to or waiting[0].hangs)):
                return False
            fault = hub.next_fault(what)
            return fault is not None and self._applies(fault)

        def _applies(self, fault: Fault) -> bool:
            if fault.hangs:
                hub.wait()
                self.close_connection = True
                return True
            if fault.moves_to:
                self.send_response(302)
                self.send_header("Location", self.path if fault.moves_to == "itself" else fault.moves_to)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return True
            if fault.status:
                self._refuse(fault.status, fault.code, fault.headers, fault.body)
                return True
            return False

        def _repository(self, name: str, token: str | None) -> Repository | None:
            repository = hub.repositories.get(name)
            if repository is None or (repository.private and token != TOKEN):
                self._refuse(404 if token else 401, "RepoNotFound")
                return None
            if repository.gated and token != TOKEN:
                self._refuse(403 if token else 401, "GatedRepo")
                return None
            return repository

        def _json(self, value: object, headers: tuple[tuple[str, str], ...] = ()) -> None:
            content = json.dumps(value).encode()
            self.send_response(200)
            for name, text in (("Content-Type", "application/json"), ("Content-Length", str(len(content))), *headers):
                self.send_header(name, text)
            self.end_headers()
            self.wfile.write(content)

        def _refuse(
            self, status: int, code: str, headers: tuple[tuple[str, str], ...] = (), body: bytes | None = None
        ) -> None:
            content = body if body is not None else json.dumps({"error": code or "refused"}).encode()
            self.send_response(status)
            for name, text in (("Content-Type", "application/json"), ("Content-Length", str(len(content))), *headers):
                self.send_header(name, text)
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

    return Handler


def pseudo_random(size: int, seed: int = 0) -> bytes:
    """Return ``size`` bytes that look random and are the same every time."""
    return random.Random(seed).randbytes(size)
