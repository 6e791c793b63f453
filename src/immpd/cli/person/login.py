"""``immp login``, ``logout``, ``whoami``."""

from typing import Annotated

from cyclopts import Parameter

from .common import Common, UsageError, run, session, show_first_sight, tell
from .password import ask_password


def login(
    address: str,
    /,
    *,
    server: str | None = None,
    fingerprint: str | None = None,
    password_stdin: Annotated[bool, Parameter(negative=())] = False,
    device: str | None = None,
    direct: Annotated[bool, Parameter(negative=())] = False,
    common: Common | None = None,
) -> int:
    """Log in and keep the log-in for the other commands.

    What the password became is kept, readable by you alone; the password is not.

    Parameters
    ----------
    address
        Your account: name@domain.
    server
        HOST:PORT of the server; by default the domain, port 1025.
    fingerprint
        The SHA-256 of the server's key as its administrator told you; then no other is accepted.
    password_stdin
        Read the password from standard input.
    device
        The name under which the server knows this device; by default the host's name.
    direct
        TLS from the first octet (port 1026).
    """
    from immpd.client.connecting import account_of
    from immpd.client.home import default_home
    from immpd.net.fingerprints import KnownPeers

    from .profile import Profile, Profiles

    common = common or Common()
    account = account_of(address).address
    label = device if device is not None else _host_name()
    key = None if fingerprint is None else read_fingerprint(fingerprint)
    password = ask_password(f"Password of {account}: ", from_stdin=password_stdin)
    home = default_home()

    async def work() -> None:
        from immpd.client import connect

        async with connect(
            account,
            server=server,
            password=password,
            device=label,
            fingerprint=key,
            known=KnownPeers(home),
            on_first_sight=show_first_sight,
            direct=direct,
        ) as me:
            secret = me.secret
            assert secret is not None
            profile = Profile(
                address=account,
                server=server or "",
                direct=direct,
                device=label,
                h=secret.h,
                salt=secret.salt,
                iterations=secret.iterations,
            )
            Profiles(home).save(common.profile or account, profile)

    code = run(work())
    from .output import print_json, say

    if common.json:
        print_json({"account": account, "device": label})
    else:
        say(f"Logged in as {account}" + (f" on {label}" if label else ""))
    return code


def logout(*, common: Common | None = None) -> None:
    """Forget a log-in on this machine."""
    from immpd.client.home import default_home

    from .profile import Profiles

    profiles = Profiles(default_home())
    name, profile = profiles.load((common or Common()).profile)
    profiles.remove(name)
    tell(f"{profile.address} is forgotten on this machine")


def whoami(*, common: Common | None = None) -> int:
    """Ask the server who you are."""

    async def work() -> None:
        from .output import print_json, print_text

        async with session(common) as me:
            who = await me.who()
        if common is not None and common.json:
            print_json({"account": who.account, "device": who.device, "domain": who.domain})
        else:
            print_text(who.account + (f" on {who.device}" if who.device else ""))

    return run(work())


def _host_name() -> str:
    import socket

    from immpd.model.characters import is_shown

    name = socket.gethostname().partition(".")[0]
    return name if is_shown(name) and len(name.encode()) <= 64 else ""


def read_fingerprint(text: str) -> str:
    """64 hexadecimal digits, also with colons, or SHA256: or sha-256 before them."""
    digits = text.lower().removeprefix("sha256:").removeprefix("sha-256").replace(":", "").replace(" ", "")
    if len(digits) != 64 or not set(digits) <= set("0123456789abcdef"):
        raise UsageError("A fingerprint is the SHA-256 of the server's key: 64 hexadecimal digits")
    return digits
