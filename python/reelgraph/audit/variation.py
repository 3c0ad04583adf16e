"""What an audit's second build does differently before a stage starts: everything that no output may depend on.

This text runs inside the stage's sandbox, in front of the stage's own start; it uses nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys

HOST_NAME = "audit"
NEW_UTS_AND_USER_NAMESPACE = 0x04000000 | 0x10000000
RANDOMISE_ADDRESSES = 0
SWITCH_SECONDS = 1e-5


def vary_host_name() -> None:
    """Give the sandbox another host name, as far as the kernel lets an unprivileged process."""
    if socket.gethostname() == HOST_NAME:
        return
    user, group = os.getuid(), os.getgid()
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(NEW_UTS_AND_USER_NAMESPACE) == 0:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            try:
                with open(f"/proc/self/{file}", "w") as stream:
                    stream.write(text)
            except OSError:
                pass
        library.sethostname(HOST_NAME.encode(), len(HOST_NAME))
    if socket.gethostname() != HOST_NAME:
        print("audit: the kernel does not let the host name be varied", file=sys.stderr, flush=True)


def vary_addresses() -> None:
    """Have the kernel place memory at random, which Nix switches off; works once the stage restarts itself."""
    ctypes.CDLL(None).personality(RANDOMISE_ADDRESSES)


def vary_threads() -> None:
    """Let Python's threads take turns five hundred times as often."""
    sys.setswitchinterval(SWITCH_SECONDS)


def vary_directory_order() -> None:
    """List directories backwards: their order is the file system's, and another one has another."""
    list_names, scan = os.listdir, os.scandir

    class Backwards:
        def __init__(self, *arguments: object, **named: object) -> None:
            with scan(*arguments, **named) as entries:
                self._entries = iter(list(entries)[::-1])

        def __iter__(self) -> Backwards:
            return self

        def __next__(self) -> os.DirEntry:
            return next(self._entries)

        def __enter__(self) -> Backwards:
            return self

        def __exit__(self, *_: object) -> None:
            self.close()

        def close(self) -> None:
            self._entries = iter(())

    os.listdir = lambda *arguments, **named: list_names(*arguments, **named)[::-1]
    os.scandir = Backwards


def vary_processors() -> None:
    """Tell Python of one processor more than there is: how many do the work must not show in what comes out."""
    count, affinity = os.cpu_count, os.sched_getaffinity
    os.cpu_count = lambda: (count() or 1) + 1

    def one_more(process: int) -> set[int]:
        allowed = affinity(process)
        return {*allowed, max(allowed) + 1}

    os.sched_getaffinity = one_more


def vary() -> None:
    """Vary everything."""
    # In a user namespace of its own this process may write into the folders of its code, which the store owns.
    sys.dont_write_bytecode = True
    vary_host_name()
    vary_addresses()
    vary_threads()
    vary_directory_order()
    vary_processors()
