"""The fixtures: a custodian without policies, and the real data."""

import os
from pathlib import Path

import pytest
from custodian import PROJECT, Custodian
from support import furnished


@pytest.fixture(scope="module")
def custodian(tmp_path_factory: pytest.TempPathFactory) -> Custodian:
    """A custodian who has everything but policies, for all tests of a file."""
    return furnished(tmp_path_factory.mktemp("custodian"))


@pytest.fixture
def alone(tmp_path: Path) -> Custodian:
    """A custodian who has everything but policies, for one test."""
    return furnished(tmp_path)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data; without it tests are skipped, and fail in continuous integration."""
    folder = PROJECT.parent / "shared"
    if not folder.is_dir():
        message = f"../shared is not there (`{folder}`)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder
