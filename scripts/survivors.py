"""Changes of code that have to fail a test."""

import os
import sys
import unittest


def passes(tests):
    """Returns whether all tests pass. Prints nothing, and stops at the first failure."""
    with open(os.devnull, "w") as nothing:
        return unittest.TextTestRunner(stream=nothing, failfast=True).run(tests).wasSuccessful()


def survivors(code, changes, tests_of):
    """Yields the changes, pairs of old and new text, that no test notices. `tests_of` returns the tests of a code."""
    for old, new in changes:
        if code.count(old) != 1:
            sys.exit(f"error: the tested code does not have exactly one '{old}'")
        if passes(tests_of(code.replace(old, new))):
            yield f"{old} -> {new}"
