"""What holds for every test: a clean environment, and that a missing component is said, or in CI is an error.

A test that needs something of the machine says so by marker (`browser`, `postfix`, `postgres`, `root`) or asks
`tests.support.needs`. Where it is absent the test is skipped with what to install; with CI set every skip is a failure,
because a check that silently does not run is worse than none.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings

from tests.support import needs

for _name in [name for name in os.environ if name.startswith("SEALGATE_")]:
    del os.environ[_name]

for _tier, _examples in (("fast", 50), ("full", 500), ("nightly", 20_000)):
    hypothesis_settings.register_profile(
        _tier, max_examples=_examples, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
    )
hypothesis_settings.load_profile("fast")


@pytest.fixture(autouse=True)
def own_log_handlers() -> Iterator[None]:
    """A command run in this process points the log at a standard error that ends with its test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


_LONGEST = ("tests/unit/portal/test_browser.py", "tests/unit/bench/test_bench.py")
"""Files of minutes whose names come late: they go first, so that no process is left with one of them at the end."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(_LONGEST))  # stable: all else keeps its order


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, reason in needs.MARKERS.items():
        if item.get_closest_marker(marker) and (missing := reason()):
            pytest.skip(missing)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and needs.in_ci():
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped where CI is set, so this is an error: {reason}"
    return report
