"""``python -m immpd``: the server and its administration, as the command ``immpd``."""

from immpd.commands.immpd import main

if __name__ == "__main__":
    main()
