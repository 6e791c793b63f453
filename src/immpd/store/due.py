"""What is to be looked at at its time: a row a timer, so that it outlives the process (timers.py runs them)."""

from immpd.store.units import Tx


def set_timer(tx: Tx, due: int, kind: str, subject: int) -> None:
    """Have this looked at when it is ``due``, milliseconds UTC."""
    tx.execute("INSERT INTO timer (due, kind, subject) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (due, kind, subject))
