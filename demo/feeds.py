"""The step of the demonstration that shows a feed: subscribed to by a link, read after being away, and left."""

from typing import TYPE_CHECKING

from notifications import Unexpected

if TYPE_CHECKING:
    from demo import Demo

NODE = "shop/news@shop.test"


def newsletter(demo: "Demo") -> str:
    """Subscribe by a link, get what is published, catch up, leave, and hear no more."""
    demo.run("immp", "feed", "create", NODE, "-t", "News of the shop", who="shop")
    subscribed = demo.run("immp", "subscribe", f"immp://{NODE}?subscribe", who="alice").strip()

    def publish() -> None:
        demo.run("immp", "publish", NODE, "-t", "We are open", "-m", "From nine to five.", who="shop")

    event = demo.see("alice", publish, lambda event: event["event"] == "item")
    if (event["title"], event["verified"]) != ("We are open", True):
        raise Unexpected(f"Alice is shown {event}")
    demo.run("immp", "publish", NODE, "-t", "Winter sale", "-m", "Half the price.", who="shop")
    missed = demo.run("immp", "items", "--since", event["cursor"], who="alice").splitlines()[0]
    if not missed.startswith("Winter sale"):
        raise Unexpected(f"Alice catches up with {missed}")
    overview = demo.run("immp", "subscriptions", who="alice").strip()
    left = demo.run("immp", "unsubscribe", NODE, who="alice").strip()
    nobody = demo.run("immp", "publish", NODE, "-m", "Is anybody there?", who="shop").strip()
    if not nobody.endswith("Published to 0 subscribers"):
        raise Unexpected(nobody)
    refused = demo.refused(
        "immp", "push", "alice@demo.test", "-t", "Come back!", "--body", "", "--from", NODE, who="shop"
    )
    if "[NO-SUBSCRIPTION]" not in refused:
        raise Unexpected(refused)
    lines = [
        f"$ immp subscribe immp://{NODE}?subscribe",
        subscribed,
        f"live at Alice's watch: {event['title']}; and after she was away: {missed}",
        f"$ immp subscriptions\n    {overview}",
        f"{left}; then: {nobody.rpartition(': ')[2]}; a push in the feed's name: {refused.removeprefix('immp: ')}",
    ]
    return "a newsletter: subscribed by link, caught up with, left for good\n" + "\n".join(
        f"    {line}" for line in lines
    )
