"""The steps of the demonstration that show notifications: a site that asks, and a device that reports."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from demo import Demo

ALICE = "alice@demo.test"


class Unexpected(ValueError):
    """Something else was shown than should be."""


def site_asks(demo: "Demo") -> str:
    """A grant, a question with buttons, and the answer in the protocol: no page, no link."""
    grant = demo.run("immp", "grant", "add", "--for", "shop.test", who="alice").strip()
    pushed = ""

    def ask() -> None:
        nonlocal pushed
        words = ["-t", "Confirm your order", "--answer", "Confirm", "--answer", "no=Not me", "--json"]
        said = demo.run("immp", "push", grant, *words, who="shop", given="3 books, 42.00 EUR\n")
        pushed = json.loads(said)["id"]
        (shown,) = map(json.loads, demo.run("immp", "notifications", "--json", who="alice").splitlines())
        if (shown["from"], shown["why"]) != ("shop@shop.test", "grant"):
            raise Unexpected(f"Alice is shown {shown}")
        demo.run("immp", "notifications", "answer", shown["id"], "Confirm", who="alice")

    event = demo.see("shop", ask, lambda event: event["event"] == "answer")
    if (event["push"], event["action"]) != (pushed, "confirm"):
        raise Unexpected(f"the shop sees {event}")
    status = demo.run("immp", "notifications", "status", pushed, who="shop")
    if "answered\tconfirm" not in status:
        raise Unexpected(f"the status is {status}")
    lines = [
        f"{grant}: the address that Alice hands to shop.test",
        f"live at the shop: {event['by']} answers {event['action']}",
        f"status: {' '.join(status.split())}",
    ]
    return "a site asks, Alice answers, the site knows: no web page\n" + "\n".join(f"    {line}" for line in lines)


def device_reports(demo: "Demo") -> str:
    """A device with a token and no password notifies its owner."""
    token = demo.folder / "nas.token"
    demo.run("immp", "token", "add", "nas", "--out", token, who="alice")
    where = ["--token-file", token, "--server", demo.ready["listen"], "--fingerprint", demo.ready["fingerprint"]]
    words = ["push", ALICE, "-t", "Disk 3 is failing", "-l", "critical", "--spool", demo.folder / "spool", *where]
    demo.run("immp", *words, who="nas", given="Replace it.\n")
    (row,) = map(json.loads, demo.run("immp", "notifications", "--json", who="alice").splitlines())
    if (row["from"], row["level"], row["body"]) != ("alice/nas@demo.test", "critical", "Replace it."):
        raise Unexpected(f"Alice is shown {row}")
    shown = demo.run("immp", "notifications", who="alice").strip()
    demo.run("immp", "notifications", "dismiss", row["id"], who="alice")
    return f"a device reports with a token, without a password\n    {shown}"
