"""``immpd account`` and ``immpd check``.

Rule: a password never leaves this process; what is sent is the verifier made of it (RFC 5802).
"""

import sys
from base64 import b64decode
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .common import FAILED, OK, AsJson, Call, Data, is_terminal, operator, print_json, run, say

if TYPE_CHECKING:
    from immpd.protocol.scram import Verifier

FromStdin = Annotated[bool, Parameter(name="--password-stdin", negative=(), help="Read it from standard input.")]
Address = Annotated[str, Parameter(help="The account: name@domain.")]
Weak = Annotated[bool, Parameter(name="--weak", negative=(), help="Take a password of fewer than 10 characters.")]


def _password(address: str, *, from_stdin: bool, weak: bool) -> str:
    from immpd.protocol.scram import check_strength

    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif is_terminal():
        from getpass import getpass

        password = getpass(f"New password of {address}: ")
        if getpass("Once more: ") != password:
            raise ValueError("The two passwords differ")
    else:
        raise ValueError("There is no terminal to ask for a password; use --password-stdin")
    if not password:
        raise ValueError("The password is empty")
    if not weak:
        check_strength(password)
    return password


async def _verifier(call: Call, address: str, password: str) -> "tuple[Verifier, bytes]":
    """A new verifier, made with the account's salt, and the h it was made from."""
    from immpd.model.imid import parse_imid
    from immpd.protocol.commands import AccountSalt
    from immpd.protocol.scram import salted_password, verifier_from_h

    salt = await call(AccountSalt(address=parse_imid(address)))
    octets = b64decode(salt.salt)
    h = salted_password(password, octets, salt.i)
    return verifier_from_h(h, octets, salt.i), h


def add(
    address: Address,
    /,
    *,
    data: Data,
    password_stdin: FromStdin = False,
    weak: Weak = False,
    json: AsJson = False,
) -> int:
    """Make an account and its mailbox."""
    from immpd.model.imid import parse_imid
    from immpd.protocol.commands import AccountAdd

    password = _password(address, from_stdin=password_stdin, weak=weak)

    async def work() -> None:
        async with operator(data) as call:
            made, h = await _verifier(call, address, password)
            request = AccountAdd(
                address=parse_imid(address), stored=made.stored_key, server=made.server_key, i=made.iterations, secret=h
            )
            say((await call(request)).text, json, account=str(request.address))

    return run(work)


def passwd(
    address: Address,
    /,
    *,
    data: Data,
    password_stdin: FromStdin = False,
    weak: Weak = False,
    keep_sessions: Annotated[
        bool, Parameter(name="--keep-sessions", negative=(), help="Let what is logged in stay so.")
    ] = False,
    remove_tokens: Annotated[
        bool, Parameter(name="--remove-tokens", negative=(), help="Remove all push tokens of the account.")
    ] = False,
    json: AsJson = False,
) -> int:
    """Set an account's password; it ends the account's sessions."""
    from immpd.model.imid import parse_imid
    from immpd.protocol.commands import AccountPasswd

    password = _password(address, from_stdin=password_stdin, weak=weak)

    async def work() -> None:
        async with operator(data) as call:
            made, h = await _verifier(call, address, password)
            request = AccountPasswd(
                address=parse_imid(address),
                stored=made.stored_key,
                server=made.server_key,
                i=made.iterations,
                secret=h,
                keep_sessions=keep_sessions,
                remove_tokens=remove_tokens,
            )
            reply = await call(request)
        ended = f"; {reply.ended} session{'s' * (reply.ended != 1)} ended" if reply.ended else ""
        said = {"account": str(request.address), "ended": reply.ended, "tokens": reply.tokens or ()}
        say(f"{reply.text}{ended}", json, **said)
        if reply.tokens and not json:
            sys.stdout.write(f"Push tokens still work: {', '.join(reply.tokens)} (--remove-tokens removes them)\n")

    return run(work)


def list_(*, data: Data, json: AsJson = False) -> int:
    """List all accounts."""
    from immpd.cli.person.output import print_table
    from immpd.protocol.commands import AccountList

    async def work() -> None:
        cells = []
        async with operator(data) as call:
            for row in (await call(AccountList())).rows:
                if json:
                    print_json(row)
                    continue
                notes = ["disabled"] * row.disabled + ["no password"] * (not row.password)
                cells.append([row.address, row.created, ", ".join(notes)])
        if not json:
            print_table(cells, heads=("ACCOUNT", "SINCE", "NOTES"), empty="There is no account yet")

    return run(work)


def _set_disabled(address: str, data: Path, *, disabled: bool, as_json: bool) -> int:
    from immpd.model.imid import parse_imid
    from immpd.protocol.commands import AccountDisable

    async def work() -> None:
        async with operator(data) as call:
            request = AccountDisable(address=parse_imid(address), disabled=disabled)
            say((await call(request)).text, as_json, account=str(request.address), disabled=disabled)

    return run(work)


def disable(address: Address, /, *, data: Data, json: AsJson = False) -> int:
    """Refuse log-in and delivery; its mail stays."""
    return _set_disabled(address, data, disabled=True, as_json=json)


def enable(address: Address, /, *, data: Data, json: AsJson = False) -> int:
    """Take a disable back."""
    return _set_disabled(address, data, disabled=False, as_json=json)


def remove(
    address: Address,
    /,
    *,
    data: Data,
    yes: Annotated[bool, Parameter(name="--yes", negative=(), help="Do not ask.")] = False,
    json: AsJson = False,
) -> int:
    """Remove an account and all that it has, for good; its address is not given again."""
    from immpd.model.imid import parse_imid
    from immpd.protocol.commands import AccountRemove

    account = parse_imid(address)
    if not yes:
        if not is_terminal():
            raise ValueError("There is no terminal to confirm at; use --yes")
        sys.stderr.write(f"{account}, its mail and all else that it has will be gone for good.\nType the address: ")
        sys.stderr.flush()
        if sys.stdin.readline().strip() not in (address, str(account)):
            raise ValueError("That is not the address; nothing was removed")

    async def work() -> None:
        async with operator(data) as call:
            say((await call(AccountRemove(address=account))).text, json, account=str(account))

    return run(work)


def check(*, data: Data, json: AsJson = False) -> int:
    """Let the store verify itself: every index row has its octets, every count is right."""
    from immpd.protocol.commands import StoreCheck

    async def work() -> int:
        async with operator(data) as call:
            found = (await call(StoreCheck())).rows
        for finding in found:
            say(finding.text, json, finding=finding.text)
        if not json:
            sys.stdout.write(f"{len(found)} findings\n" if found else "The store is sound.\n")
        return FAILED if found else OK

    return run(work)
