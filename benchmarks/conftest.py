"""Collects what the benchmarks measured and prints it as one table at the end."""

import os

import pytest

ROWS = pytest.StashKey()


def pytest_configure(config):
    config.stash[ROWS] = []
    # One table is enough; -v shows pytest-benchmark's own as well.
    config.option.benchmark_quiet = True
    # A progress bar would be part of the measurement.
    os.environ["PANICSIM_STATIC"] = "1"


@pytest.fixture
def report(request):
    return request.config.stash[ROWS]


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash[ROWS]
    if not rows:
        return
    write = terminalreporter.write_line
    terminalreporter.section("ns per path-step (medians), and median ratio of turns")
    write(
        f"{'positions':>10} {'paths':>7} {'noise':>9} {'simulate':>10} {'the loop':>10} {'ratio':>8}  loop in"
    )
    for positions, paths, noise, other, ours, peer, ratio in rows:
        write(f"{positions:>10} {paths:>7} {noise:>9} {ours:>10.1f} {peer:>10.1f} {ratio:>8.2f}  {other}")
