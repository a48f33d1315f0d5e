"""kill -9 in the middle of writing: what was acknowledged is there, and the watch history fits the objects."""

import subprocess
import sys

from pdk.db.database import Database
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

WRITER = """
import sys
from pdk.db.database import Database
from pdk.kubernetes.store.objects import ObjectStore
from pdk.kubernetes.store.rows import OBJECT_MIGRATIONS
from pdk.reconcile.changes import Changes

store = ObjectStore(Database(sys.argv[1], OBJECT_MIGRATIONS), Changes())
store.create("namespaces", {"metadata": {"name": "models"}})
for number in range(100_000):
    owner = store.create("configmaps", {"metadata": {"name": f"c{number}", "namespace": "models"}})
    print(owner["metadata"]["resourceVersion"], owner["metadata"]["name"], flush=True)
    if number % 3 == 0:
        store.delete("configmaps", "models", f"c{number}")
        print("gone", f"c{number}", flush=True)
"""


def test_acknowledged_writes_survive_kill_9(tmp_path):
    path = tmp_path / "kube.db"
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    lines = [writer.stdout.readline() for _ in range(200)]
    writer.kill()
    lines += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    acknowledged = [line.split() for line in lines if line.endswith("\n")]
    gone = {name for word, name in acknowledged if word == "gone"}
    made = {name: int(word) for word, name in acknowledged if word != "gone"}

    database = Database(path, OBJECT_MIGRATIONS)
    store = ObjectStore(database, Changes())
    objects, head = store.list("configmaps")
    present = {obj["metadata"]["name"]: int(obj["metadata"]["resourceVersion"]) for obj in objects}
    assert not gone & set(present)
    last = acknowledged[-1][1]
    for name, revision in made.items():
        # Of the last one, the deletion may have been committed and not yet been told.
        assert present.get(name) == revision or name in gone or name == last
    assert head >= max(made.values())

    replayed = {}
    for event in store.changes_since(0, "configmaps", limit=100_000):
        name = event.object["metadata"]["name"]
        if event.type == "DELETED":
            del replayed[name]
        else:
            replayed[name] = event.revision
    assert replayed == present
    assert store.create("configmaps", {"metadata": {"name": "after", "namespace": "models"}})["metadata"][
        "resourceVersion"
    ] == str(head + 1)
    database.close()
