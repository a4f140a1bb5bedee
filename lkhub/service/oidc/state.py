"""What `lkhub status` is told of the provider."""

import time

from lkhub.service.told import Told
from lkhub.state.openid import OpenIdRecord, read_openid, write_openid


class ProviderState:
    """Writes the record at `path` when the provider begins to fail, fails for another reason, or gives all again that
    it failed to give. What is on record of another issuer, which the spec had before, is forgotten."""

    def __init__(self, path: str, issuer: str) -> None:
        self._issuer = issuer
        self._problems: dict[str, str] = {}  # by what the provider was asked for
        self._record = read_openid(path) if path else None
        self.told = Told(path, write_openid, "the state of the OpenID provider", self._record)
        if self._record and self._record.issuer != issuer:
            self._tell(OpenIdRecord(None, "", issuer))

    def __call__(self, what: str, problem: str) -> None:
        self._problems.pop(what, None)
        if problem:
            self._problems[what] = problem
        problem = next(reversed(self._problems.values()), "")
        since = self._record.failing if self._record and self._record.failing else time.time()
        self._tell(OpenIdRecord(since, problem, self._issuer) if problem else OpenIdRecord(None, "", self._issuer))

    def _tell(self, record: OpenIdRecord) -> None:
        self._record = record
        self.told.tell(record)
