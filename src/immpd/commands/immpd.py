"""``immpd``: the server and its administration. The commands are in ``immpd.commands.operator.main``."""

import sys


def main() -> None:
    """Run the command line of an operator."""
    from immpd.commands.operator.main import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
