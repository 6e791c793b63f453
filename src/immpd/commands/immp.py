"""``immp``: mail and messages from the command line. The commands are in ``immpd.cli.person.main``."""

import sys


def main() -> None:
    """Run the command line of a person."""
    from immpd.cli.person.main import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
