"""The option --help of the Python scripts that have few arguments."""

import sys


def answer_help(text):
    """Prints the documentation of a script and exits, if --help is the only argument."""
    if sys.argv[1:] in (["--help"], ["-h"]):
        print(text.strip())
        sys.exit(0)
