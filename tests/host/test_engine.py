import os
from pathlib import Path

import pytest

from lkhub.errors import MachineError
from lkhub.host.engine import bundled_engine, check_config, engine_build, is_program, require_engine
from lkhub.wire.engine import ConfigMessage


def write_program(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_bundled_engine_is_in_the_package() -> None:
    assert os.path.isabs(bundled_engine())
    assert bundled_engine().endswith("/lkhub/bin/lkhub-engine")


def test_program_is_a_file_that_can_be_run(tmp_path: Path) -> None:
    assert is_program(write_program(tmp_path / "engine", "exit 0"))
    (tmp_path / "text").write_text("")
    for path in (str(tmp_path), f"{tmp_path}/text", f"{tmp_path}/nowhere", "", "a\0b", "\ud800"):
        assert not is_program(path)
        with pytest.raises(MachineError, match="is missing"):
            require_engine(path)


def test_another_build_is_another_program(tmp_path: Path) -> None:
    path = write_program(tmp_path / "engine", "exit 0")
    first = engine_build(path)
    assert first
    assert engine_build(path) == first
    write_program(tmp_path / "engine", "exit 10")
    assert engine_build(path) != first
    assert engine_build(str(tmp_path / "nowhere")) == ""


def test_complaints_come_with_their_lines(tmp_path: Path) -> None:
    messages = '{"code": "x", "line": 3, "message": "a"}, {"code": "y", "line": null, "message": "b", "known": ["c"]}'
    answer = f'{{"ok": false, "messages": [{messages}]}}'
    engine = write_program(
        tmp_path / "engine", f"test \"$1 $2\" = 'check-config -' && cat >/dev/null && echo '{answer}'; exit 2"
    )
    assert check_config(engine, "port: 1") == (ConfigMessage("x", 3, "a"), ConfigMessage("y", None, "b", ("c",)))


def test_text_is_given_on_stdin(tmp_path: Path) -> None:
    engine = write_program(tmp_path / "engine", f'cat > {tmp_path}/got; echo \'{{"ok": true, "messages": []}}\'')
    assert check_config(engine, "port: 1\n") == ()
    assert (tmp_path / "got").read_text() == "port: 1\n"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 70", "did not answer"),
        ("echo nonsense", "did not answer"),
        ("kill -9 $$", "did not answer"),
        ('echo \'{"error": {"code": "x", "message": "it is broken"}}\'; exit 1', "it is broken"),
    ],
)
def test_engine_that_does_not_answer_is_a_machine_error(tmp_path: Path, script: str, said: str) -> None:
    engine = write_program(tmp_path / "engine", f"cat > /dev/null; {script}")
    with pytest.raises(MachineError, match=said):
        check_config(engine, "port: 1")


def test_file_that_is_no_program_is_a_machine_error(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    path.write_bytes(b"\x7fELF nonsense")
    path.chmod(0o755)
    with pytest.raises(MachineError, match="did not answer"):
        check_config(str(path), "")
