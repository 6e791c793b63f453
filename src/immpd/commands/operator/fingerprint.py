"""``immpd fingerprint``: what people compare when they see the server for the first time."""

from .common import OK, AsJson, Data, say


def fingerprint(*, data: Data, json: AsJson = False) -> int:
    """Print the SHA-256 of the public key that the server shows for each domain."""
    from immpd.app.compose import open_certificates
    from immpd.app.configuration import read_configuration
    from immpd.app.folder import KEYS

    configuration = read_configuration(data)
    (data / KEYS).mkdir(mode=0o700, exist_ok=True)
    certificates = open_certificates(data, configuration)
    for domain in configuration.domains:
        shown = certificates.leaf_for(domain).fingerprint
        say(f"{domain}  SHA-256 {shown}", json, domain=domain, fingerprint=shown)
    return OK
