from lkhub.host.exits import describe_exit


def test_ends_are_described() -> None:
    assert [describe_exit(code) for code in (None, 0, 3, -9)] == [
        "ended",
        "ended with exit code 0",
        "ended with exit code 3",
        "was killed by signal 9",
    ]
