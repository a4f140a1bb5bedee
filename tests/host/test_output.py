import os
from pathlib import Path

from lkhub.host.output import find_output_file


def test_file_has_its_name_and_nothing_else_has_one(tmp_path: Path) -> None:
    with (tmp_path / "kiosk.env").open("w") as file:
        assert find_output_file(file.fileno()) == str(tmp_path / "kiosk.env")
        (tmp_path / "kiosk.env").unlink()
        assert find_output_file(file.fileno()) == "", "it was deleted"
    pipe = os.pipe()
    with open("/dev/null") as device:
        assert [find_output_file(each) for each in (*pipe, device.fileno(), 9999)] == [""] * 4
    for end in pipe:
        os.close(end)
