module lkhub/tests/tailnet

go 1.27.4

require tailscale.com v1.104.7
