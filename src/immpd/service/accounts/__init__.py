"""Who somebody is: log-in, passwords, sessions, and accounts for the operator."""
