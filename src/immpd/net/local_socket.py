"""Unix sockets at paths of any length.

Rules: the kernel takes about 100 octets of path, people have deeper folders: a longer path is given
through an open descriptor of its folder; the socket is for its owner from the first moment.
"""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MAX_PATH = 100
"""Octets that every system's ``sun_path`` takes (108 on Linux, 104 on the BSDs)."""
_DESCRIPTORS = Path("/proc/self/fd")


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the same file that the kernel takes."""
    if len(os.fsencode(path)) <= MAX_PATH:
        yield str(path)
        return
    if not _DESCRIPTORS.is_dir() or len(os.fsencode(path.name)) > MAX_PATH - 40:
        raise OSError(errno.ENAMETOOLONG, f"The path of a socket has at most {MAX_PATH} octets here", str(path))
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"{_DESCRIPTORS}/{folder}/{path.name}"
    finally:
        os.close(folder)


def bind_local(path: Path) -> socket.socket:
    """A socket bound at ``path`` with mode 0600, taking the place of what was there; raises OSError."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # On Linux the file gets the descriptor's mode, so that nobody slips in before the chmod.
        os.fchmod(made.fileno(), 0o600)
        with _short(path) as name:
            made.bind(name)
        os.chmod(path, 0o600)
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made


def connect_local(path: Path) -> socket.socket:
    """A blocking socket connected to the one at ``path``; raises OSError (FileNotFoundError: nobody was there)."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as name:
            made.connect(name)
    except OSError:
        made.close()
        raise
    return made
