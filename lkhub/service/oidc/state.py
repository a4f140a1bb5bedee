"""What `lkhub status` is told of the provider."""

import logging
import time

from lkhub.errors import MachineError
from lkhub.state.openid import OpenIdRecord, read_openid, write_openid

log = logging.getLogger(__name__)


class ProviderState:
    """Writes the record at `path` when the provider begins to fail, fails for another reason, or answers again. What is
    on record of another issuer, which the spec had before, is forgotten."""

    def __init__(self, path: str, issuer: str) -> None:
        self._path, self._issuer = path, issuer
        self._record = self._written = read_openid(path) if path else None
        if self._record and self._record.issuer != issuer:
            self._write(OpenIdRecord(None, "", issuer))

    def __call__(self, problem: str) -> None:
        since = self._record.failing if self._record and self._record.failing else time.time()
        self._write(OpenIdRecord(since, problem, self._issuer) if problem else OpenIdRecord(None, "", self._issuer))

    def _write(self, record: OpenIdRecord) -> None:
        self._record = record
        if not self._path or record == self._written:
            return
        try:
            write_openid(self._path, record)
            self._written = record
        except (OSError, MachineError) as error:
            log.warning("the state of the OpenID provider can't be told to `lkhub status`: %s", type(error).__name__)
