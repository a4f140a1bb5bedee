"""`lkhub`, and `python -m lkhub`."""

import os
import sys

from lkhub.cli.shared.exits import run


def leave_link() -> None:
    """Go on by the folder to which a link on the way to this environment leads now, as /opt/lkhub/current does. `lkhub
    install` and `upgrade` make it lead elsewhere, and what is imported after that would be another version's."""
    real = os.path.realpath(sys.prefix)
    program = f"{real}/bin/python"
    if sys.prefix not in (sys.base_prefix, real) and sys.executable != program and os.access(program, os.X_OK):
        os.execve(program, [program, *sys.orig_argv[1:]], os.environ)  # noqa: S606 (it takes the place of this process)


def main() -> None:
    """Run the command line and exit."""
    if sys.argv[1:2] == ["serve"]:
        # Imported alone: the service would keep the other commands, and typer, in memory (1.3 MiB).
        from lkhub.cli.serve import serve

        run(serve)
    elif sys.argv[1:2] == ["reload"]:
        # Imported alone: people don't type it, so it is not among the commands, whose parser costs 50 ms.
        from lkhub.cli.reload import reload

        run(reload)
    elif sys.argv[1:2] == ["build-site"]:
        # Imported alone: people don't type it, so it is not among the commands, whose parser costs 50 ms.
        from lkhub.cli.build_site import build_site

        run(build_site)
    elif sys.argv[1:2] == ["run-build"]:
        # Imported alone, as `serve` is: 50 ms.
        from lkhub.cli.run_build import run_build

        run(run_build)
    elif sys.argv[1:2] == ["run-agent"]:
        # Imported alone, as `serve` is: 50 ms.
        from lkhub.cli.run_agent import run_agent

        run(run_agent)
    elif sys.argv[1:2] == ["upgrade-look"]:
        # Imported alone: people don't type it, so it is not among the commands, whose parser costs 50 ms.
        from lkhub.cli.upgrade_look import upgrade_look

        run(upgrade_look)
    elif sys.argv[1:2] == ["upgrade-try"]:
        # Imported alone: people don't type it, so it is not among the commands, whose parser costs 50 ms.
        from lkhub.cli.upgrade_try import upgrade_try

        run(upgrade_try)
    elif sys.argv[1:2] == ["keep-agent"]:
        # Imported alone, as `serve` is: 50 ms.
        from lkhub.cli.keep_agent import keep_agent

        run(keep_agent)
    else:
        # Imported here: 50 ms, which the start of the service does without.
        from lkhub.cli.main import app

        run(app)


if __name__ == "__main__":
    leave_link()
    main()
