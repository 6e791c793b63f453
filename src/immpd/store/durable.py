"""Files beside the database, and which store error an error of the disk is.

Rule: when a call returns, content and name are on the disk; a reader sees the old content or the new.
"""

import errno
import os
from pathlib import Path

from immpd.store.errors import StoreDamaged, StoreError, StoreFull, StoreReadOnly, StoreUnavailable


def sync_folder(folder: Path) -> None:
    """Put the names of a folder's files on disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, readable by its owner only; raises OSError and leaves what was."""
    temporary = path.with_name(f"{path.name}.new")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def store_error(error: OSError) -> StoreError:
    """The store error that an error of the disk is."""
    kind: type[StoreError]
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        kind = StoreFull
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        kind = StoreReadOnly
    elif error.errno == errno.ENOENT:
        kind = StoreDamaged
    else:
        kind = StoreUnavailable
    return kind(f"{error.filename}: {error.strerror}")
