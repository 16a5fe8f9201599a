"""What guards an API that is open to the network: its token and its TLS certificate."""

from __future__ import annotations

import ssl
from typing import Final

from consensus.primitives.errors import InputError
from node.config import NodeConfig

TOKEN_CHARACTERS_MIN: Final = 32


def open_access(config: NodeConfig) -> tuple[str | None, ssl.SSLContext | None]:
    """The token and the TLS context that the configuration names.

    Raises InputError API_TOKEN_WEAK or API_TLS_UNUSABLE.
    """
    token, tls = None, None
    if config.api.token_file:
        path = config.path(config.api.token_file)
        token = path.read_text(encoding="utf-8").partition("\n")[0].strip()
        if len(token) < TOKEN_CHARACTERS_MIN or not token.isascii() or " " in token:
            raise InputError(
                "API_TOKEN_WEAK",
                f"{path} must hold a token of at least {TOKEN_CHARACTERS_MIN} characters, ASCII"
                " without spaces; `openssl rand -hex 32` makes one",
            )
    if config.api.tls_certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.minimum_version = ssl.TLSVersion.TLSv1_2
        certificate = config.path(config.api.tls_certificate)
        try:
            tls.load_cert_chain(certificate, config.path(config.api.tls_key), password="")
        except (OSError, ssl.SSLError) as error:
            raise InputError(
                "API_TLS_UNUSABLE", f"{certificate} and its key can't be used: {error}"
            ) from None
    return token, tls
