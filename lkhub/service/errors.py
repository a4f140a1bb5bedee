"""The one shape of an error over HTTP (`ErrorAnswer` in models.py)."""

from collections.abc import Mapping

from lkhub.service.contract import Answered
from lkhub.service.models import ErrorAnswer, ErrorDetail

_CODES = {
    400: "bad-request",
    401: "not-authenticated",
    403: "not-allowed",
    404: "not-found",
    405: "method-not-allowed",
    413: "too-large",
    415: "wrong-content-type",
    421: "wrong-host",
    422: "invalid",
    429: "too-many-requests",
    500: "internal",
    503: "unavailable",
}


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
        self.code = code or _CODES.get(status, "failed")

    def as_response(self) -> Answered[ErrorAnswer]:
        error = ErrorDetail(code=self.code, message=self.message, hint=self.hint)
        return Answered(ErrorAnswer(error=error), self.status, {**self.headers, **BY_READER})
