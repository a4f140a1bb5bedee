"""Traefik: a file for its file provider, with the routers and services of HTTP and, for TURN over TLS, of TCP."""

from lkhub.render.files import RenderedFile
from lkhub.render.proxy.site import ProxySite, explain_turn, fill_yaml, snippet


def render_traefik(site: ProxySite) -> tuple[RenderedFile, ...]:
    """For Traefik 3.3 or newer."""
    turn = site.turn
    proof = fill_yaml(_PROOF, host=turn.host) + "\n" if turn and turn.proves_name else ""
    rule = " || ".join(f"Host(`{name}`)" for name in site.names)
    http = fill_yaml(_HTTP, rule=rule, upstream=site.upstream, proof=proof)
    tcp = fill_yaml(_TCP, host=turn.host, upstream=turn.upstream) if turn and turn.is_split else ""
    blocks = [fill_yaml(_HEAD, hub=site.hub), explain_turn(site, can_split=True), http, tcp]
    return (snippet("traefik-lkhub.yaml", blocks),)


_HEAD = """
# Traefik in front of the hub @hub, written by `lkhub render proxy` for its spec. For Traefik 3.3 and newer.
# Goes where providers.file looks. `web` and `websecure` are its entry points for 80 and 443, letsencrypt its
# certificate resolver: write what yours are called. An entry point with forwardedHeaders.insecure would let clients say
# where they are.
"""

_HTTP = """
http:
  routers:
    lkhub:
      entryPoints: [websecure]
      rule: "@rule"
      service: lkhub
      tls:
        certResolver: letsencrypt
      # Signalling URLs carry a token, and Traefik's access log has them whole.
      observability:
        accessLogs: false
    # Browsers give camera and microphone to HTTPS pages alone.
    lkhub-plain:
      entryPoints: [web]
      rule: "@rule"
      middlewares: [lkhub-to-https]
      service: noop@@internal
@{proof}  middlewares:
    lkhub-to-https:
      redirectScheme:
        scheme: https
        permanent: true
  services:
    lkhub:
      loadBalancer:
        # WebSockets are upgraded, and live as long as the call. X-Forwarded-For is set to where the connection comes
        # from. Nothing is buffered, and the hub itself limits what is sent to it.
        servers:
          - url: "http://@upstream"
        # The hub answers its own name and no other.
        passHostHeader: true
        # What WHIP and the API say is handed on at once.
        responseForwarding:
          flushInterval: -1ms
"""

_PROOF = """
    # The hub has the certificate of this name, and proves to the authority that it is there. Where this Traefik gets
    # certificates too, both entry points need allowACMEByPass: true, or it answers in the hub's place.
    lkhub-proof:
      entryPoints: [web]
      rule: "Host(`@host`) && PathPrefix(`/.well-known/acme-challenge/`)"
      service: lkhub
"""

_TCP = """
# TURN over TLS shares port 443: Traefik reads the name that the client asks for, and hands the connection on as it is.
tcp:
  routers:
    lkhub-turn:
      entryPoints: [websecure]
      rule: "HostSNI(`@host`)"
      service: lkhub-turn
      tls:
        passthrough: true
  services:
    lkhub-turn:
      loadBalancer:
        # Says where the client is. The hub believes it from tls.trusted_proxies alone.
        proxyProtocol:
          version: 2
        servers:
          - address: "@upstream"
"""
