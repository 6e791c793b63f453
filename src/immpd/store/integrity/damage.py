"""What is known of damage: kept in a file beside the database, for it may be the database that is damaged.

Rules: each thing found is told to the operator's log; where the database's own file is damaged, nothing is
written any more, for that could destroy what is still whole; a check that finds all sound takes it back
(docs/why/damage.md).
"""

import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from immpd.store.durable import replace_file
from immpd.store.errors import WritingEnded
from immpd.store.room import Tell, tell_nobody

FILE = "damaged"
MOST = 20
"""Things found that are remembered."""


class Known(msgspec.Struct, frozen=True):
    """What the file says."""

    found: tuple[str, ...] = ()
    structure: bool = False
    """The database's own file is damaged."""
    told: bool = False
    """Those who look after the domains were told."""


class Damage:
    """What is known to be damaged. ``on_found`` is called, on any thread, when something was found anew."""

    def __init__(self, folder: Path, tell: Tell = tell_nobody) -> None:
        self._path = folder / FILE
        self._tell = tell
        self._lock = threading.Lock()
        self.on_found: Callable[[], None] = lambda: None
        self.known = _read(self._path)
        self.writing_ends = self.known.structure
        """Nothing may be written any more."""
        if self.known.found:
            tell("error", "the store is known to be damaged", found=self.known.found, advice=ADVICE)

    def found(self, what: str, *, structure: bool) -> None:
        """Remember what was found and tell the operator; ``structure``: the database's own file is damaged."""
        with self._lock:
            known = self.known
            is_kept = len(known.found) < MOST or (structure and not known.structure)  # it ends writing
            if what in known.found or not is_kept:
                return
            self.known = Known((*known.found[: MOST - 1], what), known.structure or structure, known.told)
            self._keep()
        self._tell("error", "the store is damaged", what=what, advice=ADVICE)
        self.on_found()

    def end_writing(self) -> None:
        """From now on nothing is written, where the database's own file is damaged."""
        self.writing_ends = self.known.structure

    def told(self) -> None:
        """Those who look after the domains know."""
        with self._lock:
            self.known = msgspec.structs.replace(self.known, told=True)
            self._keep()

    def nothing_found(self) -> None:
        """A check of everything found nothing: all is sound (again)."""
        with self._lock:
            if not self.known.found:
                return
            self.known = Known()
            self.writing_ends = False
            self._path.unlink(missing_ok=True)
        self._tell("info", "the store is sound again")

    def reason_against(self) -> WritingEnded | None:
        """Why nothing may be written."""
        return WritingEnded("; ".join(self.known.found)) if self.writing_ends else None

    def _keep(self) -> None:
        try:
            replace_file(self._path, msgspec.json.encode(self.known))
        except OSError as error:
            self._tell("warning", "what is damaged could not be written down", reason=error.strerror)


ADVICE = "run immpd check, then put a backup back with immpd restore, or see docs/how-to/backup-and-restore.md"


def _read(path: Path) -> Known:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Known)
    except FileNotFoundError:
        return Known()
    except (OSError, msgspec.DecodeError):
        return Known(("the file that says what is damaged cannot be read",))
