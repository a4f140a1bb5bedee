"""The Redis server through which media processes share their rooms."""

from collections.abc import Iterator
from ipaddress import ip_address

from lkhub.findings.catalogue.choices import redis_in_clear, second_ports_unused
from lkhub.findings.catalogue.spec import keys_conflict
from lkhub.findings.finding import Finding
from lkhub.plan.model import MediaPlan, RedisPlan
from lkhub.spec.load import LoadedSpec
from lkhub.spec.model import Spec


def plan_redis(loaded: LoadedSpec) -> RedisPlan | None:
    """The server of the spec. A raw key that names one too is a fault: sentinels and clusters have raw keys alone."""
    redis = loaded.spec.redis
    if redis is None:
        return None
    if "redis" in loaded.spec.livekit:
        twice = keys_conflict("livekit.redis names a Redis server too")
        loaded.add(("redis",), twice, "keep one of them; livekit.redis is for sentinels and clusters")
    has_password, is_here = redis.password is not None, _is_here(redis.host)
    return RedisPlan(redis.address, redis.url, redis.database, redis.tls, redis.username, has_password, is_here)


def note_redis(spec: Spec, media: MediaPlan) -> Iterator[Finding]:
    """What the operator may not expect of Redis and of second ports."""
    if media.second and spec.redis is None:
        why = "media processes share their rooms through Redis, and the spec names none"
        yield second_ports_unused(why).about("media.udp")
    elif media.second and spec.engine != "bundled":
        yield second_ports_unused("a livekit-server of your own can't hand over").about("media.udp")
    if spec.redis and not spec.redis.tls and not _is_here(spec.redis.host):
        yield redis_in_clear(spec.redis.host).about("redis")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
