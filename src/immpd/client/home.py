"""Where a person's client keeps what it must remember: known keys, and the profiles of ``immp``.

Rule: IMMP_HOME wins; else the platform's own place for such things.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path


def default_home(environment: Mapping[str, str] = os.environ, platform: str = sys.platform) -> Path:
    """The folder, which need not exist yet: $IMMP_HOME, else e.g. ~/.config/immp (XDG)."""
    if environment.get("IMMP_HOME"):
        return Path(environment["IMMP_HOME"]).expanduser()
    if platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "immp"
    if platform == "win32":
        return Path(environment.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "immp"
    configured = environment.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if configured.startswith("/") else Path.home() / ".config"
    return base / "immp"
