"""`lkhub`, and `python -m lkhub`."""

import sys

from lkhub.cli.shared.exits import run


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
    else:
        # Imported here: 50 ms, which the start of the service does without.
        from lkhub.cli.main import app

        run(app)


if __name__ == "__main__":
    main()
