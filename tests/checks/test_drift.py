"""A rendered file that was edited: what the finding shows of it, and what it hides."""

import pytest

from lkhub.checks.drift import MAX_LINES, EditedFile, check_drift, check_unit, describe_difference, hide_secrets

SECRET = "SECRETSECRET" * 3


def test_finding_shows_what_was_edited() -> None:
    edited = EditedFile(
        "/my hub/livekit.yaml", "/my hub/livekit.yaml.edited-2", "a: 1\nb: 3\nc: 4\n", "a: 1\nb: 2\nc: 4\n"
    )
    (finding,) = check_drift([edited])
    assert (finding.code, finding.subject, finding.severity) == ("drift", "livekit.yaml.edited-2", "warning")
    assert finding.detail.splitlines() == [
        "the edit is kept as /my hub/livekit.yaml.edited-2",
        *("  | @@ -1,3 +1,3 @@", "  |  a: 1", "  | -b: 2", "  | +b: 3", "  |  c: 4"),
    ]
    assert [fix.command for fix in finding.fix] == [
        "diff -u '/my hub/livekit.yaml' '/my hub/livekit.yaml.edited-2'",
        None,
        "rm '/my hub/livekit.yaml.edited-2'",
    ]


def test_long_difference_is_cut() -> None:
    text = "\n".join(map(str, range(100)))
    lines = describe_difference(EditedFile("f", "f.edited", text, ""))
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == "… and 89 more lines"


@pytest.mark.parametrize(
    "line",
    [
        f"+  password: {SECRET}",
        '+  "password": "short"',
        "+  turn_secret: short",
        "+    credential: 'short'",
        "+  api_key: short",
        f"+  APIabc: {SECRET}",
        f"+- {SECRET}",
        "+  address: redis://user:short@10.0.0.1:6379",
    ],
)
def test_secret_is_never_shown(line: str) -> None:
    shown = hide_secrets(line)
    assert "***" in shown
    assert "short" not in shown
    assert SECRET not in shown


@pytest.mark.parametrize(
    "line",
    [
        "+port: 7880",
        "+key_file: /var/lib/lkhub/keys.yaml",
        "+  cert_file: /home/ann/.local/state/lkhub/caddy/certificates/issuer/rtc.example.com/rtc.example.com.crt",
        '+      "handler": "reverse_proxy",',
        "+    - host: a-very-long-name-of-a-host-at-some.example.com",
    ],
)
def test_what_is_no_secret_is_shown(line: str) -> None:
    assert hide_secrets(line) == line


def test_unit_that_was_edited_and_one_that_was_written_over_are_two_findings() -> None:
    unit, kept = "/etc/systemd/system/lkhub.service", "/etc/systemd/system/lkhub.service.edited"
    edited = EditedFile("/opt/lkhub/units/lkhub.service", unit, f"[Service]\nEnvironment=TOKEN={SECRET}", "[Service]")
    written_over = EditedFile(unit, kept, "[Service]\nNice=5", "[Service]")
    now, before = check_unit(unit, edited, written_over, control="systemctl", lkhub="sudo /bin/lkhub", own=False)
    assert (now.code, now.subject, before.subject) == ("drift", "lkhub.service", "lkhub.service.edited")
    assert now.detail.splitlines()[1:] == ["  | @@ -1 +1,2 @@", "  |  [Service]", "  | +Environment=TOKEN=***"]
    assert [fix.command for fix in now.fix] == [
        f"diff -u /opt/lkhub/units/lkhub.service {unit}",
        "systemctl edit lkhub",
        "sudo /bin/lkhub install",
    ]
    assert before.detail.splitlines()[-1] == "  | +Nice=5"
    assert [fix.command for fix in before.fix] == [f"diff -u {unit} {kept}", "systemctl edit lkhub", f"sudo rm {kept}"]
    assert not list(check_unit(unit, None, None, control="systemctl", lkhub="sudo /bin/lkhub", own=False))


def test_unit_of_an_earlier_version_has_no_copy_to_show_an_edit_by() -> None:
    edited = EditedFile("/opt/lkhub/units/lkhub.service", "/etc/lkhub.service", "[Service]\nNice=5", None)
    [finding] = check_unit("/etc/lkhub.service", edited, None, control="systemctl", lkhub="sudo /bin/lkhub", own=False)
    assert "\n" not in finding.detail
    assert [fix.command for fix in finding.fix] == ["systemctl edit lkhub", "sudo /bin/lkhub install"]
