"""TLS for both protocols, from one SSLConfig."""

import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc

from tfrec.errors import UserError
from tfrec.serving.config_protos import SSLConfig, read_text_proto


@dataclass(frozen=True)
class SslConfig:
    """Who the server is, and whom it trusts. All texts are PEM.

    Attributes:
      server_key: the server's private key, without a password.
      server_cert: its certificate, followed by those of the authorities in between.
      custom_ca: certificates of the authorities that clients' certificates are checked against.
      client_verify: whether a client must show a certificate.
    """

    server_key: str
    server_cert: str
    custom_ca: str = ""
    client_verify: bool = False

    def context(self) -> ssl.SSLContext:
        """What an HTTP server needs.

        Raises:
          UserError: if key and certificate do not match, or a text is no PEM.
        """
        if self.client_verify and not self.custom_ca:
            raise UserError(
                "custom_ca: missing, but client_verify is on; give the certificates of the"
                " authorities that clients' certificates come from"
            )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load_identity(context)
        if self.custom_ca:
            try:
                context.load_verify_locations(cadata=self.custom_ca)
            except ssl.SSLError as error:
                raise UserError(f"custom_ca: {_reason(error)}; give PEM certificates") from None
        if self.client_verify:
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    def grpc_credentials(self) -> grpc.ServerCredentials:
        """What a gRPC server needs."""
        return grpc.ssl_server_credentials(
            [(self.server_key.encode(), self.server_cert.encode())],
            root_certificates=self.custom_ca.encode() or None,
            require_client_auth=self.client_verify,
        )

    def _load_identity(self, context: ssl.SSLContext) -> None:
        # Python reads them from files only.
        with tempfile.TemporaryDirectory() as directory:
            key, certificate = Path(directory, "key.pem"), Path(directory, "certificate.pem")
            key.write_text(self.server_key)
            certificate.write_text(self.server_cert)
            try:
                # Without a password, a key that has one would be asked for on the terminal.
                context.load_cert_chain(certificate, key, password="")
            except ssl.SSLError as error:
                if error.reason == "KEY_VALUES_MISMATCH":
                    raise UserError(
                        "server_cert: does not match server_key; give the key that the certificate"
                        " was made for"
                    ) from None
                raise UserError(
                    f"server_key, server_cert: {_reason(error)}; give the key, without a password,"
                    " and the certificate as PEM"
                ) from None


def read_ssl_config(path: Path) -> SslConfig:
    """Reads a file that holds an SSLConfig in protobuf's text form.

    Raises:
      UserError: if the file cannot be read or holds no such message, key and certificate do not
        match, or a text is no PEM.
    """
    proto = read_text_proto(path, SSLConfig(), "ssl_config_file")
    config = SslConfig(proto.server_key, proto.server_cert, proto.custom_ca, proto.client_verify)
    try:
        config.context()
    except UserError as error:
        raise UserError(f"ssl_config_file: {path}: {error}") from None
    return config


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "PEM could not be read").replace("_", " ").lower()
