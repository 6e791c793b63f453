"""What a server does by itself: one registry of jobs, and one keeper that does them (docs/why/jobs.md)."""
