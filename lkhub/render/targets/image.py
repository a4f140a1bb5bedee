"""The image of a hub: a Dockerfile, and what it copies. It is the same for every spec."""

from lkhub import __version__
from lkhub.plan.container import AGENTS_STATE, COMMAND, CONTAINED, PROGRAMS, SECRETS, UID
from lkhub.render.files import RenderedFile

SCRIPT = "lkhub.sh"

# Everything on its disks is asked, and its processes: a second, and several on a busy machine.
HEALTH_SECONDS = 10

DOCKERFILE = f"""\
# Written by `lkhub render`. The image of a hub: Python, lkhub, and nothing of the spec.

# Python 3.11 or newer with its venv module, and util-linux, as in every Debian.
ARG BASE=python:3.13-slim-bookworm

FROM $BASE AS installed
# A wheel beside this file is taken before one that pip would fetch. With PIP_NO_INDEX=1 pip fetches none.
ARG PIP_NO_INDEX
# [agents] brings uv along, which installs agents.
ARG EXTRAS
COPY Dockerfile *.whl /tmp/wheels/
RUN python3 -m venv {PROGRAMS} \\
    && {PROGRAMS}/bin/pip install --no-cache-dir --find-links /tmp/wheels "lkhub$EXTRAS=={__version__}" \\
    && {PROGRAMS}/bin/pip uninstall --yes pip setuptools \\
    && ln -s ../lib/$(ls {PROGRAMS}/lib)/site-packages/lkhub/bin/lkhub-engine {CONTAINED.engine}

FROM $BASE
COPY --from=installed {PROGRAMS} {PROGRAMS}
# No home directory: a new one has files of /etc/skel, and the state directory is the hub's alone.
RUN groupadd --gid {UID} {CONTAINED.user} \\
    && useradd --uid {UID} --gid {UID} --no-create-home --home-dir /nonexistent {CONTAINED.user} \\
    && install -d -m 700 -o {CONTAINED.user} -g {CONTAINED.user} {CONTAINED.state}
# A new volume belongs to the owner of the folder in the image where it is mounted. Each agent has two: the hub writes
# into one, and the agent into the other. The compose file names the agents, each with the number of its user.
ARG AGENTS
RUN for agent in $AGENTS; do \\
        name=${{agent%:*}} uid=${{agent#*:}} \\
        && install -d -m 700 -o {CONTAINED.user} -g {CONTAINED.user} {CONTAINED.paths.for_agents} \\
        && install -d -m 755 -o {CONTAINED.user} -g {CONTAINED.user} {CONTAINED.paths.for_agents}/$name \\
        && install -d -m 700 -o $uid -g $uid {AGENTS_STATE}/$name; \\
    done
# The sites that are built have one each, with a socket of the hub's.
ARG SITES
RUN for name in $SITES; do \\
        install -d -m 700 -o {CONTAINED.user} -g {CONTAINED.user} {CONTAINED.paths.for_sites} \\
        && install -d -m 755 -o {CONTAINED.user} -g {CONTAINED.user} {CONTAINED.paths.for_sites}/$name; \\
    done

COPY {SCRIPT} {COMMAND}
RUN chmod 755 {COMMAND}

ENV LKHUB_STATE={CONTAINED.state} CREDENTIALS_DIRECTORY={SECRETS}
WORKDIR {CONTAINED.folder}
VOLUME {CONTAINED.state}
HEALTHCHECK --interval=30s --timeout={HEALTH_SECONDS}s --start-period=2m CMD ["{COMMAND}", "status"]
ENTRYPOINT ["{COMMAND}"]
CMD ["up"]
"""

WRAPPER = f"""\
#!/bin/sh
# lkhub as the hub's user. Root gives up all rights but the one to ports below 1024; the container starts as root, since
# Docker gives that right to no other user. A user that the container was started with stays as it is.
export HOME=/tmp
[ "$(id -u)" = 0 ] || exec {PROGRAMS}/bin/lkhub "$@"
port=-all,+net_bind_service
exec setpriv --reuid={UID} --regid={UID} --clear-groups --no-new-privs --inh-caps=$port --ambient-caps=$port \\
    --bounding-set=$port {PROGRAMS}/bin/lkhub "$@"
"""

# The folder may have the spec in it, and secrets.
IGNORED = f"*\n!Dockerfile\n!{SCRIPT}\n!*.whl\n"


def render_image() -> tuple[RenderedFile, ...]:
    """The files from which the image is built."""
    return (
        RenderedFile("Dockerfile", DOCKERFILE, 0o644),
        RenderedFile(SCRIPT, WRAPPER, 0o755),
        RenderedFile(".dockerignore", IGNORED, 0o644),
    )
