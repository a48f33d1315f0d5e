"""Leaves out what is ours alone where the environment names the system to test (see `support/targets.py`)."""

import targets


def pytest_collection_modifyitems(config, items):
    ours = {item for item in items if item.get_closest_marker("ours") and any(map(targets.is_named, item.path.parts))}
    if ours:
        config.hook.pytest_deselected(items=list(ours))
        items[:] = [item for item in items if item not in ours]
