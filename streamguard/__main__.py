"""`python -m streamguard`."""

from streamguard.cli import main

main()
