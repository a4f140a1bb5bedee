"""What `lkhub status` is told of the provider."""

import logging
import time

from lkhub.errors import MachineError
from lkhub.state.openid import OpenIdRecord, write_openid

log = logging.getLogger(__name__)


class ProviderState:
    """Writes the record at `path` when the provider begins to fail, fails for another reason, or answers again."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._record: OpenIdRecord | None = None

    def __call__(self, problem: str) -> None:
        since = self._record.failing if self._record and self._record.failing else time.time()
        record = OpenIdRecord(since, problem) if problem else OpenIdRecord(None, "")
        if not self._path or record == self._record:
            return
        self._record = record
        try:
            write_openid(self._path, record)
        except (OSError, MachineError) as error:
            log.warning("the state of the OpenID provider can't be told to `lkhub status`: %s", type(error).__name__)
