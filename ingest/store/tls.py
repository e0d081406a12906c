"""How a server of the store is known where the authorities of the system do not vouch for it, and how it knows the centre."""

import ssl
from pathlib import Path
from typing import NamedTuple

from ingest.secret_file import read_secret
from telemetry.errors import ConfigInvalid, Problem


class Tls(NamedTuple):
    """``ca_file`` alone vouches for the server then; certificate and key say who the centre is. PEM files."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None


def secured(tls: Tls) -> ssl.SSLContext:
    """For the connections to the server. Raises ``ConfigInvalid``."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise _refusal("store_ca_file", tls.ca_file, error, "name a PEM file of authorities") from error
    if bool(tls.certificate_file) != bool(tls.key_file):
        problem = "store_certificate_file and store_certificate_key_file go together"
        raise ConfigInvalid([Problem("configuration", "store", problem, "give both or neither")])
    if tls.certificate_file and tls.key_file:
        read_secret(tls.key_file, "the key of the store's certificate")
        try:
            context.load_cert_chain(tls.certificate_file, tls.key_file, password=lambda: b"")  # a key with one asks nobody
        except OSError as error:
            cure = "name a PEM certificate and its key, which has no passphrase"
            raise _refusal("store_certificate_file", tls.certificate_file, error, cure) from error
    return context


def _refusal(path: str, file: Path | None, error: OSError, cure: str) -> ConfigInvalid:
    return ConfigInvalid([Problem("configuration", path, f"{file} cannot be used: {error.strerror or error}", cure)])
