"""What all tests share: reproducible random tests, a marker for the slow ones, and a browser."""

import os
import shutil

import pytest
from hypothesis import settings

settings.register_profile("core", derandomize=True, database=None, deadline=None, max_examples=40)
settings.load_profile("core")


def pytest_configure(config):
    config.addinivalue_line("markers", 'slow: runs last; leave it out with -m "not slow"')


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(scope="session")
def browser():
    """Chromium without a window. Where it is missing a test fails: a skipped one would look like a pass."""
    from playwright.sync_api import sync_playwright

    program = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if program is None:
        pytest.fail(
            "Chromium is missing: apt-get install chromium, or set CHROMIUM to its path", pytrace=False
        )
    quiet = ["gpu", "background-networking", "component-update", "sync"]
    flags = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in quiet)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        yield browser
        browser.close()
