"""`python -m lkhub` is `lkhub`."""

from lkhub.cli.main import main

if __name__ == "__main__":
    main()
