"""Sealing h, the password-equivalent that AUTH SECRET needs, and the salts of accounts.

Rules: sealing keys lie in files outside the database, so that a copy of the database alone logs
nobody in; what is sealed is bound to its account, device, key, salt and rounds, and opens for no
other; the newest key seals, all open (docs/protocol.md, "Authentication").
"""

import hmac
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from immpd.net.private_file import write_private_file

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SALT_LENGTH = 16
_KEY_LENGTH = 32
_NONCE_LENGTH = 12
_VERSION = 1
_HEADER_LENGTH = 5
_KEY_FILE = re.compile(r"seal-([1-9][0-9]{0,8})\.key")


class SealError(Exception):
    """What is sealed cannot be opened: another account's, altered, or its key file is missing."""


def load_or_make_key(path: Path, random: Callable[[int], bytes]) -> bytes:
    """The 32 secret octets in the file at ``path``, made (mode 0600) if there is none yet.

    Raises SealError if the file does not hold such a key: it is never replaced.
    """
    if not path.exists():
        try:
            write_private_file(path, random(_KEY_LENGTH).hex().encode() + b"\n", replace=False)
        except FileExistsError:
            pass  # another process was faster: its key it is
    return _load_key(path)


def account_salt(server_key: bytes, account: str, device: str) -> bytes:
    """The 16-octet salt of an account's password (``device`` empty) or of a device credential.

    The same for existing and unknown names, so nobody can probe accounts (docs/protocol.md, "Authentication").
    """
    return hmac.digest(server_key, _fields(b"immpd salt 1", account.encode(), device.encode()), "sha256")[:SALT_LENGTH]


def place_of_unknown(server_key: bytes, account: str) -> bytes:
    """Where a name stands among the salts of all accounts while it is no account's; nobody else can tell."""
    return hmac.digest(server_key, _fields(b"immpd place 1", account.encode()), "sha256")[:SALT_LENGTH]


class Sealer:
    """AES-256-GCM under the keys ``seal-<id>.key`` in ``folder``; the first is made if there is none.

    ``random`` gives the octets of keys and nonces (``os.urandom``).
    """

    def __init__(self, folder: Path, random: Callable[[int], bytes]) -> None:
        self._folder = folder
        self._random = random
        self._keys: dict[int, bytes] = {}
        self.reload()
        if not self._keys:
            self._add(1)

    def reload(self) -> None:
        """Read the key files again, as after a rotation by another process. Raises SealError for a broken one."""
        found = [(_KEY_FILE.fullmatch(path.name), path) for path in self._folder.glob("seal-*.key")]
        self._keys = {int(match[1]): _load_key(path) for match, path in found if match}

    @property
    def newest(self) -> int:
        """The id of the key that seals."""
        return max(self._keys)

    def rotate(self) -> int:
        """Make a new key, which seals from now on; returns its id. Old keys still open what they sealed."""
        self._add(self.newest + 1)
        return self.newest

    def _add(self, key_id: int) -> None:
        self._keys[key_id] = load_or_make_key(self._folder / f"seal-{key_id}.key", self._random)

    def seal(self, h: bytes, account: str, device: str, salt: bytes, iterations: int) -> bytes:
        """Seal ``h`` for one account and device (empty for the account itself), made with salt and rounds.

        Returns version octet ‖ key id (4 octets) ‖ nonce (12) ‖ ciphertext and tag.
        """
        key_id = self.newest
        nonce = self._random(_NONCE_LENGTH)
        bound = _bound(account, device, key_id, salt, iterations)
        return bytes((_VERSION,)) + key_id.to_bytes(4) + nonce + _aead(self._keys[key_id]).encrypt(nonce, h, bound)

    def unseal(self, sealed: bytes, account: str, device: str, salt: bytes, iterations: int) -> bytes:
        """The h in ``sealed``; raises SealError unless everything is as it was when it was sealed."""
        from cryptography.exceptions import InvalidTag

        key_id = key_id_of(sealed)
        key = self._keys.get(key_id)
        if key is None:
            raise SealError(f"The sealing key {key_id} is missing: {self._folder / f'seal-{key_id}.key'}")
        nonce, ciphertext = sealed[_HEADER_LENGTH:][:_NONCE_LENGTH], sealed[_HEADER_LENGTH + _NONCE_LENGTH :]
        try:
            return _aead(key).decrypt(nonce, ciphertext, _bound(account, device, key_id, salt, iterations))
        except InvalidTag:
            raise SealError(f"The sealed secret of {account} does not open: it is altered or another's") from None


def key_id_of(sealed: bytes) -> int:
    """Which key sealed this: what is not the newest can be sealed anew. Raises SealError if it is no sealed secret."""
    if len(sealed) < _HEADER_LENGTH + _NONCE_LENGTH + 16 or sealed[0] != _VERSION:
        raise SealError("This is no sealed secret")
    return int.from_bytes(sealed[1:_HEADER_LENGTH])


def _load_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text("ascii"))
    except ValueError:
        key = b""
    if len(key) != _KEY_LENGTH:
        raise SealError(f"{path} does not hold a key of {_KEY_LENGTH} octets in hexadecimal digits")
    return key


def _bound(account: str, device: str, key_id: int, salt: bytes, iterations: int) -> bytes:
    return _fields(
        b"immpd sealed h 1", account.encode(), device.encode(), key_id.to_bytes(4), salt, iterations.to_bytes(4)
    )


def _fields(*fields: bytes) -> bytes:
    """Fields with their lengths before them: two different lists never give the same octets."""
    return b"".join(len(field).to_bytes(4) + field for field in fields)


def _aead(key: bytes) -> "AESGCM":
    # Imported late: a server without SECRET never needs it.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
