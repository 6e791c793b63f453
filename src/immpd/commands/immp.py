"""``immp``: mail and messages from the command line. The commands are in ``immpd.cli.person``."""

import sys


def main() -> None:
    """Run the command line of a person."""
    from immpd.cli.person import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
