"""`python -m lenskit.cli` is `lenskit`."""

from lenskit.cli.main import main

main()
