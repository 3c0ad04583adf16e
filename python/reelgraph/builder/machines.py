"""Builders that this user's Nix may use: one machines line each, included from the user's own nix.conf.

No system file is touched. ``unregister`` takes the line away again, and with the last one the include.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path

from reelgraph.builder.credentials import check_private
from reelgraph.builder.keys import pinned
from reelgraph.builder.nix import nix_version, setting
from reelgraph.builder.ssh import BuilderError, Daemon, Target, ask_daemon
from reelgraph.errors import StageError
from reelgraph.files import read_json, write_json
from reelgraph.stage import validate

_NOTE = "# reelgraph's builders; 'reel builder unregister' takes this and the next line away"
# The nix_2_* of nixos-26.05's nixVersions that are not removed there; cuda-builder.nix takes the one of this machine.
BUILDER_RELEASES = ("2.30", "2.31", "2.34")
FEATURES = "ca-derivations,cuda"
MANDATORY = "cuda"


@dataclass(frozen=True)
class Builder:
    """A registered builder. ``key`` is the path of the private key, ``host_key`` the public key's line."""

    name: str
    host: str
    user: str
    key: str
    host_key: str
    jobs: int

    @property
    def uri(self) -> str:
        """The store's address."""
        return f"ssh-ng://{self.user}@{f'[{self.host}]' if ':' in self.host else self.host}"

    @property
    def line(self) -> str:
        """The machines line: only jobs that need ``cuda`` go there."""
        return f"{self.uri} x86_64-linux {self.key} {self.jobs} 1 {FEATURES} {MANDATORY} {pinned(self.host_key)}"

    @property
    def store(self) -> str:
        """The store's address with key and host key, for a build that runs there as a whole."""
        return f"{self.uri}?ssh-key={self.key}&base64-ssh-public-host-key={pinned(self.host_key)}"

    @property
    def target(self) -> Target:
        """Whom to ask."""
        return Target(self.host, self.user, Path(self.key), self.host_key)


class Registry:
    """The builders of this user, kept in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._list, self._machines, self._config = folder / "builders.json", folder / "machines", folder / "nix.conf"

    def builders(self) -> dict[str, Builder]:
        """Return every registered builder by name."""
        if not self._list.exists():
            return {}
        value = read_json(self._list)
        validate(value, "builder-builders", self._list.name)
        return {name: Builder(name=name, **entry) for name, entry in value.items()}

    def add(self, builder: Builder) -> None:
        """Register a builder, or replace the one of its name."""
        self._write({**self.builders(), builder.name: builder})

    def remove(self, name: str) -> bool:
        """Take a builder away; return whether it was there."""
        builders = self.builders()
        found = builders.pop(name, None) is not None
        self._write(builders)
        return found

    def _write(self, builders: dict[str, Builder]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        others = self._others()
        entries = {
            name: {key: value for key, value in asdict(builder).items() if key != "name"}
            for name, builder in builders.items()
        }
        validate(entries, "builder-builders", "builder")
        lines = [f"# {name}\n{builder.line}\n" for name, builder in sorted(builders.items())]
        _replace(self._machines, "".join(lines))
        # Without spaces: Nix 2.8 does not take "; @file".
        _replace(
            self._config, f"builders = {';'.join([*others, f'@{self._machines}'])}\nbuilders-use-substitutes = true\n"
        )
        temporary = self._list.with_name(self._list.name + ".new")
        write_json(temporary, entries)
        temporary.replace(self._list)
        (self._include if builders else self._exclude)()

    def _others(self) -> list[str]:
        parts = [part.strip() for part in setting("builders").replace("\n", ";").split(";")]
        return [part for part in parts if part and part != f"@{self._machines}"]

    def _include(self) -> None:
        path = user_configuration()
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        include = f"!include {self._config}"
        if include in lines:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise StageError(
                f"{path} is managed by something else; put this line into it yourself: {include}", status=3
            )
        _replace(path, "\n".join([*lines, _NOTE, include]) + "\n")

    def _exclude(self) -> None:
        path = user_configuration()
        if not path.exists():
            return
        lines = path.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if line not in (_NOTE, f"!include {self._config}")]
        if kept != lines:
            _replace(path, "".join(f"{line}\n" for line in kept))


def user_configuration() -> Path:
    """Return the nix.conf of this user that Nix reads first."""
    if files := os.environ.get("NIX_USER_CONF_FILES"):
        return Path(files.split(":")[0])
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "nix" / "nix.conf"


def check_builder(builder: Builder, *, any_version: bool) -> Daemon:
    """Ask a builder before it is relied on; raise a BuilderError if its key, host key or Nix will not do."""
    check_private(Path(builder.key))
    daemon = ask_daemon(builder.name, builder.target)
    check_version(builder.name, daemon, any_version=any_version)
    if daemon.trusted is False:
        raise BuilderError(
            f"builder '{builder.name}' does not trust user '{builder.user}': inputs that are not signed would be "
            f"refused; put '{builder.user}' into trusted-users there"
        )
    return daemon


def check_version(name: str, daemon: Daemon, *, any_version: bool) -> None:
    """Raise a BuilderError unless both sides run the same release of Nix, or the user takes the risk."""
    here = Daemon(nix_version(), None)
    if daemon.minor != here.minor and not any_version:
        raise BuilderError(
            f"builder '{name}' runs Nix {daemon.version} and this machine {here.version}: content-addressed results "
            "are not sure to be understood across releases; use the same release, or say --any-nix-version"
        )


def check_release() -> None:
    """Raise a StageError if a rented builder could not run this machine's release of Nix: found out before it costs."""
    here = nix_version()
    if ".".join(map(str, Daemon(here, None).minor)) not in BUILDER_RELEASES:
        raise StageError(
            f"this machine runs Nix {here}, and a rented builder can run {', '.join(BUILDER_RELEASES)}: "
            "content-addressed results are not sure to be understood across releases; install one of these here, "
            "or say --any-nix-version",
            status=3,
        )


def _replace(path: Path, text: str) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
    temporary = path.with_name(f".{path.name}.reelgraph")
    temporary.write_text(text, encoding="utf-8")
    temporary.chmod(mode)
    temporary.replace(path)
