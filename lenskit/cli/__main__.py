"""Entry point of `python -m lenskit.cli`, the same program as `lenskit`."""

from lenskit.cli.main import main

main()
