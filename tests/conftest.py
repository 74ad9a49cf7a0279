"""What many tests share: a program that stores nothing outside of the test's own folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from servers import postgresql, s3  # noqa: F401 - fixtures for all

# Machines are shared: how long an example takes says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Who starts the tests in the background, or by nohup, has these ignored, and children inherit that.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("shared") is not None and not SHARED.is_dir():
        pytest.skip("../shared/data is not here")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / "home"
    place.mkdir()
    return place


@pytest.fixture
def assay(home: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the command line as a person would, with a home of its own and no weights."""

    def run(*arguments: str | bytes | Path, **options) -> subprocess.CompletedProcess[bytes]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ASSAY_", "XDG_"))}
        environment = kept | {"HOME": str(home), "PYTHONWARNINGS": "error"} | options.pop("env", {})
        return subprocess.run(
            [sys.executable, "-m", "assay", *arguments],
            env=environment,
            capture_output=True,
            check=False,
            timeout=120,
            **options,
        )

    return run
