import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from lkhub.errors import MachineError
from lkhub.host.ca import Ca, choose_ca, parse_root, read_root
from lkhub.host.files import write_private
from lkhub.plan.paths import StatePaths
from tests import certificates
from tests.certificates import Made, alternative, ensure_ca, load, make, shake_hands
from tests.host.modes import mode

NAMES = ("rtc.example.com", "192.168.1.5", "fd00::5")
HUB = "my-hub"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(str(tmp_path / "state"))


def read(files: Ca) -> x509.Certificate:
    return x509.load_pem_x509_certificate(Path(files.cert_path).read_bytes())


def a_week() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(minutes=1), now + timedelta(days=7)


def issue(files: Ca, *names: str) -> tuple[Made, Made]:
    """A certificate for `names` as Caddy makes it: no common name, under an intermediate that allows no other."""
    root = load(Path(files.cert_path).read_text(), Path(files.key_path).read_text())
    week = a_week()
    intermediate = make("my-hub - ECC Intermediate", root, ca=True, path_length=0, valid=week)
    return make("", intermediate, names=names, valid=week), intermediate


def test_root_says_what_it_is(paths: StatePaths) -> None:
    files = ensure_ca(paths, HUB, NAMES, NOW)
    root = read(files)
    assert (files.created, files.reason) == (True, "")
    assert files.fingerprint_sha256 == parse_root(Path(paths.ca_root).read_text()).fingerprint_sha256
    assert files.authority == f"lkhub-{files.fingerprint_sha256[:12]}"
    assert root.subject == root.issuer
    assert root.subject.rfc4514_string() == "CN=lkhub my-hub 2026-11-21"
    assert root.not_valid_before_utc < NOW
    assert root.not_valid_after_utc - NOW > timedelta(days=3600)
    critical = {extension.oid._name: extension.critical for extension in root.extensions}
    assert critical == {
        "basicConstraints": True,
        "keyUsage": True,
        "nameConstraints": True,
        "extendedKeyUsage": False,
        "subjectKeyIdentifier": False,
    }
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 1)
    usage = root.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert list(root.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]


def test_key_is_for_this_user_alone(paths: StatePaths) -> None:
    ensure_ca(paths, HUB, NAMES)
    assert mode(paths.ca) == 0o700
    assert mode(paths.ca_key) == 0o600
    os.chmod(paths.ca_key, 0o644)
    ensure_ca(paths, HUB, NAMES)
    assert mode(paths.ca_key) == 0o600, "closed again"


def test_long_name_of_a_hub_leaves_room_for_the_date(paths: StatePaths) -> None:
    subject = read(ensure_ca(paths, "h" * 63, NAMES, NOW)).subject.rfc4514_string()
    assert subject.endswith("hhh 2026-11-21")
    assert len(subject) == len("CN=") + 64


# What the root is made for, what is then asked for, and whether that is within it.
ASKED = [
    (NAMES, ("rtc.example.com",), True),
    (NAMES, ("192.168.1.5",), True),
    (NAMES, ("fd00::5",), True),
    (NAMES, ("evil.example",), False),
    (NAMES, ("example.com",), False),
    (NAMES, ("rtc.example.com", "evil.example"), False),
    (NAMES, ("192.168.1.6",), False),
    (NAMES, ("192.168.1.5", "9.9.9.9"), False),
    (NAMES, ("fd00::6",), False),
    (("192.168.1.5",), ("192.168.1.5",), True),
    (("192.168.1.5",), ("evil.example",), False),
    (("192.168.1.5",), ("fd00::5",), False),
    (("fd00::5",), ("fd00::5",), True),
    (("fd00::5",), ("192.168.1.5",), False),
    (("hub.home.arpa",), ("hub.home.arpa",), True),
    (("hub.home.arpa",), ("192.168.1.5",), False),
    (("hub.home.arpa",), ("fd00::5",), False),
]


@pytest.mark.parametrize(("made_for", "asked", "good"), ASKED, ids=str)
def test_root_vouches_for_the_hubs_own_names_alone(
    paths: StatePaths, tmp_path: Path, made_for: tuple[str, ...], asked: tuple[str, ...], good: bool
) -> None:
    """A kind of name that the hub does not have is the trap: constraints of other kinds do not speak of it."""
    files = ensure_ca(paths, HUB, made_for)
    chain = issue(files, *asked)
    refused = shake_hands(Path(files.cert_path).read_text(), chain, asked[0], tmp_path)
    assert (refused == "") is good, refused
    assert good or "subtree" in refused, f"refused for another reason: {refused}"
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([read(files)]))
        .build_server_verifier(alternative(asked[0]))
    )
    if good:
        verifier.verify(chain[0].certificate, [chain[1].certificate])
    else:
        with pytest.raises(verification.VerificationError):
            verifier.verify(chain[0].certificate, [chain[1].certificate])


def test_nobody_can_make_a_further_authority_under_caddys(paths: StatePaths, tmp_path: Path) -> None:
    files = ensure_ca(paths, HUB, NAMES)
    week = a_week()
    _, intermediate = issue(files, "rtc.example.com")
    further = make("further", intermediate, ca=True, valid=week)
    leaf = make("", further, names=("rtc.example.com",), valid=week)
    refused = shake_hands(Path(files.cert_path).read_text(), (leaf, further, intermediate), "rtc.example.com", tmp_path)
    assert "path length" in refused


def test_root_is_kept_while_it_covers_the_names(paths: StatePaths) -> None:
    first = ensure_ca(paths, HUB, NAMES)
    before = Path(paths.ca_root).stat().st_ino
    for names in (NAMES, NAMES[::-1], NAMES[:1], ("RTC.example.com", "FD00:0::5")):
        again = ensure_ca(paths, "another-name", names)
        assert (again.fingerprint_sha256, again.created, again.reason) == (first.fingerprint_sha256, False, "")
    assert Path(paths.ca_root).stat().st_ino == before, "not even written"


def test_new_name_needs_a_new_root_and_says_so(paths: StatePaths, tmp_path: Path) -> None:
    first = ensure_ca(paths, HUB, NAMES)
    second = ensure_ca(paths, HUB, ("rtc.example.com", "192.168.1.9"))
    assert second.created
    assert second.reason == "the earlier one is not good for 192.168.1.9"
    assert second.fingerprint_sha256 != first.fingerprint_sha256
    assert second.authority != first.authority
    root = read_root(paths)
    assert root is not None
    assert root.names == ("rtc.example.com", "192.168.1.9")
    assert shake_hands(root.pem, issue(second, "192.168.1.9"), "192.168.1.9", tmp_path) == ""


def test_machine_that_moves_between_two_networks_needs_two_roots_and_not_more(paths: StatePaths) -> None:
    home, office = ensure_ca(paths, HUB, ("192.168.1.5",)), ensure_ca(paths, HUB, ("10.0.0.9",))
    for names, wanted in ((("192.168.1.5",), home), (("10.0.0.9",), office)) * 2:
        back = ensure_ca(paths, HUB, names)
        assert (back.fingerprint_sha256, back.created) == (wanted.fingerprint_sha256, False)
        assert back.reason == f"the earlier one is not good for {names[0]}"


@pytest.mark.parametrize(("days", "kept"), [(3650 - 402, True), (3650 - 399, False), (5000, False)])
def test_root_is_replaced_long_before_its_end(paths: StatePaths, days: int, kept: bool) -> None:
    first = ensure_ca(paths, HUB, NAMES, NOW)
    later = ensure_ca(paths, HUB, NAMES, NOW + timedelta(days=days))
    assert (later.fingerprint_sha256 == first.fingerprint_sha256) is kept
    assert later.reason == ("" if kept else "the earlier one ends on 2036-11-17")


def damage(path: str, how: str, other: StatePaths) -> None:
    match how:
        case "gone":
            os.unlink(path)
        case "empty":
            Path(path).write_text("")
        case "cut":
            Path(path).write_text(Path(path).read_text()[:200])
        case "zeros":
            Path(path).write_bytes(bytes(500))
        case "no text":
            Path(path).write_bytes(b"\xff" * 500)
        case "another":
            ensure_ca(other, HUB, NAMES)
            name = os.path.basename(path)
            write_private(path, Path(other.ca, name).read_text())
        case "encrypted":
            Path(path).write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")


@pytest.mark.parametrize("how", ["gone", "empty", "cut", "zeros", "no text", "another", "encrypted"])
@pytest.mark.parametrize("half", ["ca_root", "ca_key"])
def test_what_a_crash_or_a_hand_left_is_made_anew(paths: StatePaths, tmp_path: Path, half: str, how: str) -> None:
    first = ensure_ca(paths, HUB, NAMES)
    damage(getattr(paths, half), how, StatePaths(str(tmp_path / "other")))
    repaired = ensure_ca(paths, HUB, NAMES)
    assert repaired.created
    assert repaired.reason == "the files of the earlier one were damaged"
    assert repaired.fingerprint_sha256 != first.fingerprint_sha256
    again = ensure_ca(paths, HUB, NAMES)
    assert (again.fingerprint_sha256, again.reason) == (repaired.fingerprint_sha256, "")
    assert shake_hands(Path(paths.ca_root).read_text(), issue(again, NAMES[0]), NAMES[0], tmp_path) == ""


def test_certificate_that_is_no_root_of_a_hub_is_not_used(paths: StatePaths) -> None:
    ensure_ca(paths, HUB, NAMES)
    unlimited = make("any authority", ca=True)
    write_private(paths.ca_root, unlimited.pem)
    write_private(paths.ca_key, unlimited.key_pem)
    assert read_root(paths) is None
    assert "damaged" in ensure_ca(paths, HUB, NAMES).reason


@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_crash_at_any_write_of_a_replacement_is_repaired(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """The disk fills up, or the machine stops, between any two of the four files."""
    home, office = ("192.168.1.5",), ("10.0.0.9",)
    first = ensure_ca(paths, HUB, home)
    count = 0

    def write(path: str, text: str) -> bool:
        nonlocal count
        count += 1
        if count == at:
            raise MachineError("the disk is full")
        return write_private(path, text)

    monkeypatch.setattr(certificates, "write_private", write)
    with pytest.raises(MachineError):
        ensure_ca(paths, HUB, office)
    monkeypatch.undo()
    moved = ensure_ca(paths, HUB, office)
    sound = ensure_ca(paths, HUB, office)
    assert (sound.fingerprint_sha256, sound.created) == (moved.fingerprint_sha256, False)
    assert moved.fingerprint_sha256 != first.fingerprint_sha256
    assert not [name for name in os.listdir(paths.ca) if name.startswith(".")], "a half-written file is left"


def test_choosing_writes_nothing(paths: StatePaths) -> None:
    """A change that waits, or that is only shown, must not take the root away under what it has signed."""
    first = ensure_ca(paths, HUB, NAMES)
    before = {name: Path(paths.ca, name).read_text() for name in os.listdir(paths.ca)}
    assert choose_ca(paths, HUB, ("10.0.0.9",)).fingerprint_sha256 != first.fingerprint_sha256
    assert {name: Path(paths.ca, name).read_text() for name in os.listdir(paths.ca)} == before


def test_key_is_not_shown(paths: StatePaths) -> None:
    assert "PRIVATE" not in repr(choose_ca(paths, HUB, NAMES))


def test_root_is_read_as_it_is_kept(paths: StatePaths) -> None:
    assert read_root(paths) is None
    files = ensure_ca(paths, HUB, NAMES, NOW)
    root = read_root(paths)
    assert root is not None
    assert (root.subject, root.names) == ("lkhub my-hub 2026-11-21", NAMES)
    assert root.fingerprint_sha256 == files.fingerprint_sha256
    assert root.pem == Path(paths.ca_root).read_text()
    Path(paths.ca_root).write_text("nonsense")
    assert read_root(paths) is None


def test_name_that_is_no_dns_name_is_refused(paths: StatePaths) -> None:
    with pytest.raises(ValueError):
        ensure_ca(paths, HUB, ("hüb.example",))
    assert not os.path.exists(paths.ca_root)
