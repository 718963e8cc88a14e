"""`python -m streamguard.cli`."""

from streamguard.cli import main

main()
