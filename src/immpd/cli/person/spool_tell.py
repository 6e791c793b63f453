"""What a person and a script are told of notifications that went through a spool."""

from .common import OK, REFUSED, Common, tell
from .spool_send import Told


def tell_kept(own: list[Told], others: list[Told], common: Common | None) -> int:
    """Print what became of ``own``; of ``others``, which went along, only what will not arrive. The exit code."""
    from .output import print_json, print_text

    for one in own:
        if common is not None and common.json:
            row = {"id": one.id, "recipient": one.recipient, "outcome": one.outcome, "text": one.text}
            print_json({**row, "exit": one.code})
        elif one.outcome == "delivered":
            print_text(f"{one.recipient}: {one.text}")
        else:
            what = "kept, to be sent later" if one.outcome == "kept" else "set aside"
            tell(f"{one.recipient}: {what}: {one.text}")
    for one in others:
        if one.outcome == "refused":
            tell(f"An earlier notification to {one.recipient} is set aside: {one.text}")
    codes = [one.code for one in own if one.code != OK]
    return REFUSED if REFUSED in codes else codes[0] if codes else OK
