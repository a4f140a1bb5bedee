"""How a device is told to trust the root of a hub that certifies itself: words for the terminal and the page. Pure."""

from dataclasses import dataclass

# Eight pairs a line: as much as a person compares at a glance, and what a phone shows without a scroll bar.
PAIRS_A_LINE = 8


@dataclass(frozen=True)
class Step:
    """One thing to do. `commands` are typed as they are, in the folder with the downloaded file."""

    text: str
    commands: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guide:
    """What to do on one kind of device. `key` is short and stable; `ordered`: the steps follow each other; otherwise
    only those that fit the device are needed."""

    key: str
    title: str
    steps: tuple[Step, ...]
    ordered: bool = True


def file_name(hub: str, ending: str = "crt") -> str:
    """What the root is called once it is downloaded."""
    return f"lkhub-{hub}.{ending}"


def show_fingerprint(sha256: str) -> str:
    """64 hex digits as every tool shows them: `AB:CD:…`."""
    return ":".join(sha256[at : at + 2] for at in range(0, len(sha256), 2)).upper()


def split_fingerprint(sha256: str) -> tuple[str, ...]:
    """The same in short lines, for comparing by eye."""
    pairs = show_fingerprint(sha256).split(":")
    return tuple(":".join(pairs[at : at + PAIRS_A_LINE]) for at in range(0, len(pairs), PAIRS_A_LINE))


def build_guides(hub: str) -> tuple[Guide, ...]:
    """The guides for every kind of device, for the hub of this name. The first step always gets the file."""
    file, name = file_name(hub), f"lkhub-{hub}"
    look = f"openssl x509 -in {file} -noout -fingerprint -sha256"
    return (
        Guide(
            "ios",
            "iPhone and iPad",
            (
                Step("In Safari, download the profile from the hub’s trust page, and allow it."),
                Step(
                    "Settings → General → VPN & Device Management: tap the profile. More Details shows the fingerprint "
                    "of the certificate. Install it."
                ),
                Step(f"Settings → General → About → Certificate Trust Settings: turn on lkhub {hub}."),
            ),
        ),
        Guide(
            "android",
            "Android",
            (
                Step("Download the certificate."),
                Step(
                    "Settings → Security & privacy → More security & privacy → Encryption & credentials → Install a "
                    "certificate → CA certificate → Install anyway, and choose the file. Where a maker calls it "
                    "otherwise: search the settings for “CA certificate”."
                ),
                Step(
                    "Trusted credentials → User, in the same place, shows the fingerprint. Chrome and Firefox take it "
                    "from there; other applications do if they say so."
                ),
            ),
        ),
        Guide(
            "windows",
            "Windows",
            (
                Step("Download the certificate, and open Terminal as administrator in that folder."),
                Step("See the fingerprint:", (f'(Get-PfxCertificate {file}).GetCertHashString("SHA256")',)),
                Step("Trust it, for Edge, Chrome, Firefox and others:", (f"certutil -addstore -f Root {file}",)),
            ),
        ),
        Guide(
            "macos",
            "macOS",
            (
                Step("Download the certificate, and open Terminal in that folder."),
                Step("See the fingerprint:", (look,)),
                Step(
                    "Trust it, for Safari, Chrome, Firefox and others:",
                    (f"sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {file}",),
                ),
            ),
        ),
        Guide(
            "linux",
            "Linux",
            (
                Step("Download the certificate, and open a terminal in that folder. See the fingerprint:", (look,)),
                Step(
                    "Debian, Ubuntu:",
                    (f"sudo cp {file} /usr/local/share/ca-certificates/", "sudo update-ca-certificates"),
                ),
                Step(
                    "Fedora and its family:",
                    (f"sudo cp {file} /etc/pki/ca-trust/source/anchors/", "sudo update-ca-trust"),
                ),
                Step("Arch:", (f"sudo trust anchor --store {file}",)),
                Step(
                    "Chrome and Chromium have a store of their own; certutil is in libnss3-tools (Debian, Ubuntu), "
                    "nss-tools (Fedora) or nss (Arch):",
                    (
                        "mkdir -p $HOME/.pki/nssdb",
                        f'certutil -d sql:$HOME/.pki/nssdb -A -t "C,," -n {name} -i {file}',
                    ),
                ),
                Step(
                    "Firefox has one too: Settings → Privacy & Security → Certificates → View Certificates → "
                    "Authorities → Import, and tick “Trust this CA to identify websites”."
                ),
            ),
            ordered=False,
        ),
        Guide(
            "programs",
            "Programs that use a LiveKit SDK",
            (
                Step(
                    "Python, Go, Rust and most others look here, in place of the system’s own list:",
                    (f"export SSL_CERT_FILE=$PWD/{file}",),
                ),
                Step("Node.js looks here, beside its own list:", (f"export NODE_EXTRA_CA_CERTS=$PWD/{file}",)),
                Step(
                    "TURN over TLS stays closed to native SDKs: libwebrtc brings its own list of authorities. They use "
                    "the other paths; browsers use all."
                ),
            ),
            ordered=False,
        ),
    )
