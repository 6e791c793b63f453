"""``immp passwd``, and how a password is asked for."""

import sys
from typing import Annotated

from cyclopts import Parameter

from .common import Common, UsageError, run, session, tell

_SWITCH = Parameter(negative=())


def passwd(
    *,
    password_stdin: Annotated[bool, _SWITCH] = False,
    keep_sessions: Annotated[bool, _SWITCH] = False,
    remove_tokens: Annotated[bool, _SWITCH] = False,
    weak: Annotated[bool, _SWITCH] = False,
    common: Common | None = None,
) -> int:
    """Change the password; it ends what is logged in elsewhere.

    Parameters
    ----------
    password_stdin
        Read two lines from standard input: the present password, then the new one.
    keep_sessions
        What is logged in elsewhere stays so until it hangs up; to log in again takes the new password.
    remove_tokens
        Remove all push tokens: devices and scripts that have one can notify you no longer.
    weak
        Take a password of fewer than 10 characters.
    """
    common = common or Common()

    async def work() -> None:
        import msgspec

        from immpd.client.home import default_home
        from immpd.protocol.scram import check_strength

        from .output import print_json
        from .profile import Profiles

        profiles = Profiles(default_home())
        name, profile = profiles.load(common.profile)
        old = ask_password(f"Present password of {profile.address}: ", from_stdin=password_stdin)
        new = ask_password("New password: ", from_stdin=password_stdin, twice=True)
        if not weak:
            check_strength(new)
        async with session(common, password=old) as me:
            changed = await me.change_password(new, keep_sessions=keep_sessions, remove_tokens=remove_tokens)
            secret = me.secret
        assert secret is not None
        kept = msgspec.structs.replace(profile, h=secret.h, salt=secret.salt, iterations=secret.iterations)
        profiles.save(name, kept, make_current=False)
        if common.json:
            print_json({"ended": changed.ended, "tokens": changed.tokens})
            return
        sessions = f"{changed.ended} other session{'s' * (changed.ended != 1)} ended; " if changed.ended else ""
        tell(f"The password is changed; {sessions}other devices must log in again")
        if changed.tokens:
            tell(
                f"These push tokens still notify you: {', '.join(changed.tokens)} (immp token remove NAME removes one)"
            )

    return run(work())


def ask_password(prompt: str, *, from_stdin: bool, twice: bool = False) -> str:
    """A password from the terminal, or the next line of standard input; raises UsageError."""
    if from_stdin:
        line = sys.stdin.readline()
        if not line:
            raise UsageError(f"Standard input has no line for: {prompt.rstrip(': ')}")
        password = line.rstrip("\r\n")
    else:
        import warnings
        from getpass import GetPassWarning, getpass

        try:
            with warnings.catch_warnings():
                # Without a terminal it would warn, and show what is typed.
                warnings.simplefilter("error", GetPassWarning)
                password = getpass(prompt)
                if twice and getpass("Once more: ") != password:
                    raise UsageError("The two passwords are not the same")
        except GetPassWarning:
            raise UsageError(
                "There is no terminal to ask for the password at; --password-stdin reads it from standard input"
            ) from None
        except EOFError:
            raise UsageError("No password was given; --password-stdin reads it from standard input") from None
    if not password:
        raise UsageError("The password is empty")
    return password
