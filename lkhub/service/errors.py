"""The one shape of an error over HTTP (`ErrorAnswer` in models.py)."""

from collections.abc import Mapping
from math import ceil

from lkhub.service.contract import Answered
from lkhub.service.models import ErrorAnswer, ErrorDetail
from lkhub.service.reasons import CODES

# Browsers get a page instead, recognized by their `Accept` header.
BY_READER = {"vary": "accept"}


class ApiError(Exception):
    """An answer other than success. `hint` says what to do about it, `headers` go with it. `code` is the status's own
    unless one status has several reasons."""

    def __init__(
        self, status: int, message: str, hint: str = "", headers: Mapping[str, str] | None = None, *, code: str = ""
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hint, self.headers = status, message, hint, headers or {}
        self.code = code or CODES.get(status, "failed")

    def as_response(self) -> Answered[ErrorAnswer]:
        error = ErrorDetail(code=self.code, message=self.message, hint=self.hint)
        return Answered(ErrorAnswer(error=error), self.status, {**self.headers, **BY_READER})


def refuse_too_many(what: str, wait: float) -> ApiError:
    """The answer to a caller that may ask again after `wait` seconds."""
    seconds = ceil(wait)
    return ApiError(429, f"too many {what}", f"wait {seconds} s", {"retry-after": str(seconds)})
