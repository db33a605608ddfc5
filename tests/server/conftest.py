"""The fixtures of the tests of the server, where what it needs is installed."""

import contextlib

import pytest

with contextlib.suppress(pytest.skip.Exception):  # each file of tests says why it is skipped
    from serverlab import full, live  # noqa: F401
