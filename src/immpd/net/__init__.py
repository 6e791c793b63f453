"""Octets between machines: streams and TLS, certificates, fingerprints. Knows nothing of commands."""
