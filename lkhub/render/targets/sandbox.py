"""What the processes in systemd's units may not do.

The hub's own have no ProcSubset=pid: the hub reads the kernel's limits for UDP buffers and its counters of dropped
packets, which are outside of the processes in /proc.
"""

from lkhub.render.targets.unit_text import Setting

NO_NEW_CODE = "MemoryDenyWriteExecute"
"""The setting that a unit lacks where agents or builds of web sites run in it."""

_PROTECTED: tuple[Setting, ...] = (
    ("ProtectHome", "yes"),
    ("PrivateMounts", "yes"),
    ("PrivateDevices", "yes"),
    ("ProtectKernelTunables", "yes"),
    ("ProtectKernelModules", "yes"),
    ("ProtectKernelLogs", "yes"),
    ("ProtectControlGroups", "yes"),
    ("ProtectClock", "yes"),
    ("ProtectHostname", "yes"),
    ("ProtectProc", "invisible"),
)

# What the kernel lets every user give up. A unit of a user can't have the rest: systemd would need a user namespace for
# it, and a supervisor in one namespace can't read what it adopts from another.
_GIVEN_UP: tuple[Setting, ...] = (
    ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
    ("RestrictNamespaces", "yes"),
    ("RestrictRealtime", "yes"),
    ("LockPersonality", "yes"),
    ("UMask", "0077"),
    ("SystemCallArchitectures", "native"),
    ("SystemCallErrorNumber", "EPERM"),
    ("SystemCallFilter", "@system-service"),
)

SANDBOX_OF_USER: tuple[Setting, ...] = (
    ("NoNewPrivileges", "yes"),
    ("RestrictSUIDSGID", "yes"),
    (NO_NEW_CODE, "yes"),
    *_GIVEN_UP,
    ("SystemCallFilter", "~@privileged @resources"),
)
"""Of a hub that a user's own systemd runs."""

SANDBOX: tuple[Setting, ...] = (
    ("ProtectSystem", "strict"),
    ("PrivateTmp", "yes"),
    ("RemoveIPC", "yes"),
    *_PROTECTED,
    *SANDBOX_OF_USER,
)
"""Of a hub."""

# DynamicUser has NoNewPrivileges, PrivateTmp, ProtectSystem, RemoveIPC and RestrictSUIDSGID too.
AGENT_SANDBOX: tuple[Setting, ...] = (
    ("PrivateUsers", "yes"),
    ("CapabilityBoundingSet", ""),
    *_PROTECTED,
    *_GIVEN_UP,
    ("SystemCallFilter", "~@privileged"),
)
"""Of an agent, which is other people's code: what Node runs is compiled in memory, and onnxruntime chooses the cores
for its threads (@resources)."""
