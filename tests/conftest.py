"""What all tests share: reproducible random tests, and a marker for the slow ones."""

from hypothesis import settings

settings.register_profile("core", derandomize=True, database=None, deadline=None, max_examples=40)
settings.load_profile("core")


def pytest_configure(config):
    config.addinivalue_line("markers", 'slow: runs last; leave it out with -m "not slow"')


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)
