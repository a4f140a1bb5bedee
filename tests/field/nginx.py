"""A real nginx in front of a hub, with a few lines written by hand."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.kit.netns import Namespace
from tests.kit.proxies import find_program
from tests.waiting import wait_until

_STREAM_MODULE = "/usr/lib/nginx/modules/ngx_stream_module.so"

# What a site of another kind answers on the same machine.
OTHER_SITE = 'location / { default_type text/html; return 200 "<html><h1>My cloud</h1></html>"; }'


# What its server for plain HTTP does.
REDIRECT = "return 308 https://$host$request_uri;"


@contextmanager
def nginx(
    machine: Namespace, folder: Path, certificate: str, body: str, stream: str = "", plain: str = REDIRECT
) -> Iterator[None]:
    """nginx on ports 80 and 443 of a machine: `body` is put into its server block for HTTPS, with the certificate
    `certificate`.pem and key.pem of `folder`. With `stream`, which has port 443 then, HTTPS is on 8443. `plain` is put
    into its server block for HTTP; "" for no such block."""
    own = Path(folder, "nginx")
    own.mkdir(exist_ok=True)
    port = 8443 if stream else 443
    temporary = "".join(
        f"{kind}_temp_path {own}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = f"""
        load_module {_STREAM_MODULE};
        daemon off;
        pid {own}/pid;
        error_log {own}/error.log;
        events {{}}
        http {{
            access_log off;
            {temporary}
            {f"server {{ listen 80; {plain} }}" if plain else ""}
            server {{
                listen {port} ssl;
                ssl_certificate {folder}/{certificate}.pem;
                ssl_certificate_key {folder}/key.pem;
                {body}
            }}
        }}
        {f"stream {{ {stream} }}" if stream else ""}
        """
    (own / "nginx.conf").write_text(main)
    argv = [*machine.prefix, find_program("nginx"), "-c", str(own / "nginx.conf"), "-p", str(own)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            wait_until(lambda: _listens(machine, 443) or process.poll() is not None, "nginx listens")
            assert process.poll() is None, process.stdout.read() if process.stdout else ""
            yield
        finally:
            process.terminate()
            process.wait(10)
    wait_until(lambda: not _listens(machine, 443), "nginx is gone")


def _listens(machine: Namespace, port: int) -> bool:
    return bool(machine.run("ss", "-Hltn", f"sport = :{port}").strip())
