"""All that is done by itself, a row a job (docs/why/jobs.md)."""

from immpd.service.feeds.digests import Digests
from immpd.service.feeds.fanout import FanOut
from immpd.service.push.timers import Timers
from immpd.service.session import Services

from .chores import CHORES, ChoreJob
from .job import Job


def jobs_of(services: Services) -> tuple[Job, ...]:
    """Every job, for a keeper of this process."""
    chores = [ChoreJob(services, chore) for chore in CHORES]
    return (Timers(services), FanOut(services), Digests(services), *chores)
