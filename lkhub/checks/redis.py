"""Findings about the Redis server of media. Pure."""

from collections.abc import Iterator

from lkhub.findings.catalogue.hub import redis_down
from lkhub.findings.finding import Finding, Fix
from lkhub.shown import printable
from lkhub.wire.engine import RedisStatus


def check_redis(redis: RedisStatus | None) -> Iterator[Finding]:
    """A finding where Redis does not answer media."""
    if redis and redis.error:
        yield redis_down(printable(redis.error)).about(
            "redis",
            fix=(
                Fix("see whether Redis runs, where `redis` in the spec says"),
                Fix("read media's log", "lkhub logs media"),
            ),
        )
