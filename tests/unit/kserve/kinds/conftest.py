"""An object store with what is there from the start."""

import pytest

from pdk.db.database import Database
from pdk.kserve.kinds.initial_objects import install_initial_objects
from pdk.kserve.kinds.registry import serving_resources
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes


@pytest.fixture
def store(tmp_path):
    database = Database(tmp_path / "kube.db", OBJECT_MIGRATIONS)
    store = ObjectStore(database, Changes(), serving_resources())
    install_initial_objects(store, ingress_port=8085)
    yield store
    database.close()
