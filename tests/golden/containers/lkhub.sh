#!/bin/sh
# lkhub as the hub's user. Root gives up all rights but the one to ports below 1024; the container starts as root, since
# Docker gives that right to no other user. A user that the container was started with stays as it is.
export HOME=/tmp
[ "$(id -u)" = 0 ] || exec /opt/lkhub/bin/lkhub "$@"
port=-all,+net_bind_service
exec setpriv --reuid=10001 --regid=10001 --clear-groups --no-new-privs --inh-caps=$port --ambient-caps=$port \
    --bounding-set=$port /opt/lkhub/bin/lkhub "$@"
