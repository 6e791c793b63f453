"""The data folder: what lies where, and who has it.

Rules: one process at a time has the folder; whoever has it may open the store; everything in it is
for its owner only.
"""

import errno
import fcntl
from pathlib import Path

SOCKET = "immpd.sock"
LOCK = "immpd.lock"
KEYS = "keys"
BODIES = "bodies"


class DataFolderInUse(Exception):
    """Another process has the data folder."""


class Lock:
    """The data folder's lock, held until ``release`` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        """Take it; raises DataFolderInUse, and OSError where the folder cannot be written."""
        try:
            self._file = open(folder / LOCK, "a+")  # noqa: SIM115 - the open file is the lock
        except OSError as error:
            if error.errno not in (errno.EROFS, errno.EACCES) or not (folder / LOCK).exists():
                raise
            self._file = open(folder / LOCK)  # noqa: SIM115 - a folder that can only be read is locked as well
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN):
                raise
            raise DataFolderInUse(f"{folder} is in use by another immpd") from None

    def release(self) -> None:
        """Let another process have the folder."""
        self._file.close()
