"""``immpd config``: what is set, and from where."""

import sys

from .common import OK, AsJson, Data, print_json, say, tell


def show(*, data: Data, json: AsJson = False) -> int:
    """Show every setting, its value and where it comes from."""
    import msgspec

    from immpd.app.configuration import effective

    for setting in effective(data):
        if json:
            print_json(setting)
        else:
            sys.stdout.write(f"{setting.name} = {msgspec.json.encode(setting.value).decode()}  # {setting.source}\n")
    return OK


def check(*, data: Data, json: AsJson = False) -> int:
    """Read the configuration and say whether it can be used."""
    from immpd.app.configuration import FILE, ConfigurationError, read_configuration
    from immpd.net.certificates import CertificateError

    configuration = read_configuration(data)
    if configuration.certificates:
        from immpd.app.compose import open_certificates

        try:
            certificates = open_certificates(data, configuration)
        except CertificateError as error:
            raise ConfigurationError(f"{data / FILE}: certificates: {error}") from None
        for domain in certificates.unnamed(configuration.domains):
            tell(f"no certificate names {domain}; clients that know it by an authority will refuse it")
    words = f"{data / FILE} can be used; it serves {', '.join(configuration.domains)}"
    say(words, json, file=str(data / FILE), domains=configuration.domains)
    return OK
