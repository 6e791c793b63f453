"""What is known to be damaged: as much of it as can be kept, and always what ends writing."""

from pathlib import Path

from immpd.store.integrity.damage import MOST, Damage


def test_damage_of_the_file_itself_ends_writing_however_much_was_found_before(tmp_path: Path) -> None:
    damage = Damage(tmp_path)
    for number in range(MOST + 5):
        damage.found(f"message {number} is lost", structure=False)
    damage.end_writing()
    assert damage.reason_against() is None
    damage.found("database: malformed", structure=True)
    assert len(damage.known.found) == MOST
    assert damage.known.found[-1] == "database: malformed"
    damage.end_writing()
    assert damage.reason_against() is not None
    assert Damage(tmp_path).writing_ends
