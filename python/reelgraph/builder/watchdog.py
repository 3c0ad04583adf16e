"""What starts the dead-man switch every five minutes: a script that needs no checkout, a timer, a crontab line."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import reelgraph
from reelgraph.builder.office import DEFAULT_PROVIDER, credentials_file, open_journal, state_folder
from reelgraph.errors import StageError

NAME = "reel-builder-watch"
MINUTES = 5
# What a person's shell may have set and a timer's has not.
_KEPT = (
    *("XDG_CONFIG_HOME", "NIX_USER_CONF_FILES", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"),
)
_STORE = "/nix/store/"
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from reelgraph.cli.main import main; main(prog_name='reel')"
_SERVICE = """[Unit]
Description=End rented builders that are past their end
After=network-online.target

[Service]
Type=oneshot
ExecStart="{script}"
TimeoutStartSec=30min
"""
_TIMER = """[Unit]
Description=Look after rented builders every {minutes} minutes

[Timer]
OnBootSec=1min
OnCalendar=*:0/{minutes}
Persistent=true

[Install]
WantedBy=timers.target
"""


def write_script(tell: str | None, alive: str | None) -> Path:
    """Write the script that looks once, and keep what it runs from Nix's garbage collection; return it."""
    folder = open_journal().folder / "watchdog"
    folder.mkdir(mode=0o700, exist_ok=True)
    python, code = sys.executable, str(Path(reelgraph.__file__).parents[1])
    for name, path in (("python", python), ("code", code)):
        _keep(folder / name, path)
    settings = {
        "REEL_BUILDER_STATE": str(state_folder().absolute()),
        # Nix must be found to take a builder out of its configuration; cron's own PATH is short.
        "PATH": os.environ["PATH"],
        "HOME": str(Path.home()),
    }
    if "REEL_BUILDER_CREDENTIALS" in os.environ:
        settings["REEL_BUILDER_CREDENTIALS"] = str(credentials_file(DEFAULT_PROVIDER).absolute())
    settings |= {name: os.environ[name] for name in _KEPT if name in os.environ}
    command = [python, "-c", _START, code, "builder", "watch", "--once"]
    command += [*(["--tell", tell] if tell else []), *(["--alive", alive] if alive else [])]
    lines = [
        "#!/bin/sh",
        "# Written by 'reel builder watchdog'; a newer checkout writes a newer one.",
        *(f"export {name}={shlex.quote(value)}" for name, value in settings.items()),
        f"exec {shlex.join(command)}",
    ]
    script = folder / NAME
    temporary = folder / f".{NAME}.new"
    temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    temporary.chmod(0o700)
    temporary.replace(script)
    return script


def unit_folder() -> Path:
    """Return the folder of this user's systemd units."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def write_units(folder: Path, script: Path) -> Path:
    """Write the service and its timer; return the timer's file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{NAME}.service").write_text(_SERVICE.format(script=str(script).replace("%", "%%")), encoding="utf-8")
    timer = folder / f"{NAME}.timer"
    timer.write_text(_TIMER.format(minutes=MINUTES), encoding="utf-8")
    return timer


def recipe(script: Path, timer: Path) -> str:
    """Return what a person types next, for systemd or cron, and how to see that it works."""
    crontab = f"*/{MINUTES} * * * * {shlex.quote(str(script))}".replace("%", r"\%")
    return (
        f"With systemd ({timer} is written; the second line keeps it running while you are logged out):\n  systemctl "
        f"--user daemon-reload && systemctl --user enable --now {NAME}.timer\n  loginctl enable-linger\nWith cron, "
        f"which mails what the script says:\n  (crontab -l; echo {shlex.quote(crontab)}) | crontab -\nThen see that it "
        f"works: within {MINUTES} minutes 'reel builder status' must not say NOBODY WATCHES."
    )


def _keep(link: Path, path: str) -> None:
    """Make a store path one that Nix's garbage collection leaves alone."""
    if not path.startswith(_STORE):
        return
    root = _STORE + path.removeprefix(_STORE).split("/")[0]
    nix_store = shutil.which("nix-store")
    if nix_store is None:
        raise StageError("nix-store is missing; ./nixw installs Nix or says how", status=3)
    command = [nix_store, "--realise", root, "--add-root", str(link), "--indirect"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise StageError(f"{root} cannot be kept from garbage collection: {finished.stderr.strip()[-200:]}")
