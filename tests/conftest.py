"""What all tests share."""

import matplotlib

matplotlib.use("Agg")


def pytest_collection_modifyitems(items):
    """The built book comes last: it shows the outputs that the chapters' own tests have just compared."""
    items.sort(key=lambda item: "test_built_book" in item.nodeid)
