"""`python -m lkhub` is `lkhub`."""

import sys

from lkhub.cli.shared.exits import run

if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        from lkhub.cli.serve import app
    else:
        from lkhub.cli.main import app
    run(app)
