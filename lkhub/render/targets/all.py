"""Every target of `lkhub render`, in the order of its help."""

from collections.abc import Mapping

from lkhub.render.targets.caddy import CADDY
from lkhub.render.targets.cloud_init import CLOUD_INIT
from lkhub.render.targets.compose import COMPOSE
from lkhub.render.targets.firewall import FIREWALL
from lkhub.render.targets.kubernetes.target import KUBERNETES
from lkhub.render.targets.launchd import LAUNCHD
from lkhub.render.targets.livekit import LIVEKIT
from lkhub.render.targets.nixos.target import NIXOS
from lkhub.render.targets.proxy import PROXY
from lkhub.render.targets.systemd import SYSTEMD
from lkhub.render.targets.target import Target

TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        LIVEKIT,
        CADDY,
        FIREWALL,
        PROXY,
        SYSTEMD,
        LAUNCHD,
        NIXOS,
        COMPOSE,
        CLOUD_INIT,
        KUBERNETES,
    )
}
