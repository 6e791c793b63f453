"""``make fuzz``, or ``python -m fuzz [names...] [--seconds S] [--count N] [--seed N]``: see fuzz/README.md."""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable

import msgspec

from .finding import Found, Run
    "kill-notifications": Fuzzer(kill_notifications, count=100),
