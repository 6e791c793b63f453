"""Commands of ``immp`` that have commands of their own, such as ``immp token add``.

Rule: as in ``person``, they are named here and imported when they are called; a group alone lists.
"""

from collections.abc import Container, Mapping
from typing import NamedTuple


class Group(NamedTuple):
    """What its help says, and for each command where it is and its line in the list."""

    words: str
    commands: Mapping[str, tuple[str, str]]


_LISTED = "list"
GROUPS = {
    "draft": Group(
        "Messages that you have not sent yet.",
        {
            "list": ("draft:list_all", "List your drafts, the newest first."),
            "save": (
                "draft:save",
                "Keep a message as a draft; its text is read from standard input, or written in your editor.",
            ),
            "edit": (
                "draft:edit",
                "Change a draft; its text is written in your editor, or read from standard input.",
            ),
            "send": ("draft:send", "Send a draft; it leaves DRAFTS when it was delivered."),
        },
    ),
    "notifications": Group(
        "Notifications that wait for you: list, show, answer and dismiss them; and what became of yours.",
        {
            "list": ("notifications:list_all", "List the notifications that wait for you, the newest first."),
            "show": ("notifications:show", "Show a notification with all that it says."),
            "answer": ("notifications:answer", "Press a notification's button, once."),
            "dismiss": ("notifications:dismiss", "Clear notifications on all your devices."),
            "status": (
                "notifications:status",
                "What became of a notification that you sent.",
            ),
        },
    ),
    "sessions": Group(
        "Sessions: where your account is logged in, and how to be rid of one.",
        {
            "list": ("sessions:list_all", "List where your account is logged in, with the last use of each."),
            "end": ("sessions:end", "End sessions; who has the password can log in again."),
        },
    ),
    "token": Group(
        "Push tokens: secrets for devices and scripts that may notify you, and nothing else.",
        {
            "add": ("tokens:add", "Make a token; it is shown, or written into a file, this once."),
            "list": ("tokens:list_all", "List your tokens, without their secrets."),
            "remove": ("tokens:remove", "Remove a token: it can do nothing from now on."),
        },
    ),
    "grant": Group(
        "Grants: addresses to hand to a site that shall notify you a few times.",
        {
            "add": ("senders:add_grant", "Make an address to hand out."),
            "list": ("senders:list_grants", "List the grants that can still be used."),
            "remove": ("senders:remove_grant", "Take a grant back."),
        },
    ),
    "requests": Group(
        "Strangers that ask to notify you.",
        {
            "list": ("senders:list_requests", "List the strangers that wait for your answer."),
            "accept": ("senders:accept", "Let a stranger's domain notify you."),
            "decline": ("senders:decline", "Refuse a stranger's domain."),
        },
    ),
    "origins": Group(
        "Who may notify you, and who may not.",
        {
            "list": ("senders:list_origins", "List whom you allowed or denied."),
            "allow": ("senders:allow", "Let a domain or a sender notify you."),
            "deny": ("senders:deny", "Refuse a domain or a sender."),
            "forget": ("senders:forget", "Take such a decision back: it is a stranger again."),
        },
    ),
}


def completed(arguments: list[str]) -> list[str]:
    """The arguments, with the ``list`` that a group alone stands for."""
    return with_list(arguments, GROUPS)


def with_list(arguments: list[str], groups: Container[str]) -> list[str]:
    """The arguments, with the ``list`` that one of these groups alone stands for."""
    alone = bool(arguments) and arguments[0] in groups and (len(arguments) == 1 or arguments[1].startswith("-"))
    if alone and not {"--help", "-h", "--version"} & set(arguments):
        return [arguments[0], _LISTED, *arguments[1:]]
    return arguments
