from lkhub.plan.paths import StatePaths


def list_paths(root: str) -> list[str]:
    paths = StatePaths(root)
    fixed = [getattr(paths, name) for name, value in vars(StatePaths).items() if isinstance(value, property)]
    return [*fixed, paths.render("x"), paths.socket("x"), paths.record("x"), paths.log("x")]


def test_everything_is_inside_the_state_directory_and_has_a_place_of_its_own() -> None:
    paths = list_paths("/state")
    assert all(path.startswith("/state/") for path in paths)
    assert len(set(paths)) == len(paths)


def test_no_process_has_a_socket_that_is_the_supervisors() -> None:
    paths = StatePaths("/state")
    assert paths.control not in {paths.socket(name) for name in ("media", "relay", "serve")}
