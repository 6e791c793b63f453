"""Files that only their owner may read: keys, and what a client trusts.

Rules: mode 0600 from the first octet; a reader sees the old content or the new, never half; when
the call returns, content and name are on the disk.
"""

import os
import secrets
from pathlib import Path


def write_private_file(path: Path, content: bytes, *, replace: bool, mode: int = 0o600) -> None:
    """Write ``content`` to ``path`` atomically and durably; missing folders are made with mode 0700.

    With ``replace=False`` an existing file is kept and FileExistsError raised, also when two
    processes race. Raises OSError for all else that fails, and then leaves nothing behind.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            # A link, unlike a rename, never takes the place of what is there.
            os.link(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
