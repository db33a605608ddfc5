"""From what a request carries to who is calling."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from holdfast.errors import CredentialError
from holdfast.service.callers import OWNER, Caller
from holdfast.service.keys import PREFIX, Keys


class Verifier(Protocol):
    """Accepts credentials of one kind."""

    def caller(self, token: str) -> Caller:
        """Whom a credential stands for; raises `CredentialError` if it holds for nobody."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that a server takes.

    Parameters
    ----------
    keys
        API keys.
    tokens
        Tokens of an issuer; None takes none.
    open
        Whether a request without a credential comes from the owner. For a server that only this
        machine reaches and that has no keys yet.
    """

    keys: Keys
    tokens: Verifier | None = None
    open: bool = False

    def caller(self, token: str | None) -> Caller:
        """Whom a request is from.

        Raises
        ------
        CredentialError
            If it has no credential, or one that does not hold. A bad one is refused even where
            none would be needed.
        """
        if token is None:
            if self.open and not self.required:
                return OWNER
            raise CredentialError(
                "this needs a credential; send one as 'Authorization: Bearer KEY'"
            )
        if token.startswith(f"{PREFIX}_") or self.tokens is None:
            return self.keys.caller(token)
        return self.tokens.caller(token)

    async def acaller(self, token: str | None) -> Caller:
        """As `caller`; for a token it may have to ask the issuer, which holds up nobody else."""
        if self.tokens is None or token is None or token.startswith(f"{PREFIX}_"):
            return self.caller(token)
        return await asyncio.to_thread(self.caller, token)

    @property
    def required(self) -> bool:
        """Whether nothing is answered without a credential."""
        return not self.open or self.strict

    @property
    def strict(self) -> bool:
        """Whether somebody decided that there are credentials: by a first key, or an issuer.

        It stays so when the last key is revoked: that was done to keep somebody out.
        """
        return self.tokens is not None or self.keys.begun
