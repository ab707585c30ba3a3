"""A certificate authority of the test's own, and one server's certificate from it, as files."""

import ssl
from pathlib import Path

import trustme


class Authority:
    """`certificate` and `key` are the server's files; who trusts `trusted` lets it in."""

    def __init__(self, directory: Path) -> None:
        self._authority = trustme.CA()
        issued = self._authority.issue_cert("127.0.0.1", "localhost")
        self.certificate = str(directory / "certificate.pem")
        self.key = str(directory / "key.pem")
        self.trusted = str(directory / "trusted.pem")
        issued.private_key_pem.write_to_path(self.key)
        for pem in issued.cert_chain_pems:
            pem.write_to_path(self.certificate, append=True)
        self._authority.cert_pem.write_to_path(self.trusted)

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self._authority.configure_trust(context)
        return context
