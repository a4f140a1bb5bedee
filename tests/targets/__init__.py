"""Hubs on what runs servers: systemd as it boots. Minutes long; `scripts/test -m targets`."""
