"""Tables of pfs: projects, repos, branches and commits with their provenance.

Times are RFC 3339 text. `commits.id` grows with time, so it is the order of creation; clients only ever see
(repo, `set_id`). A row is removed by the one above it in the hierarchy, never left dangling.
"""

from pdk.db.database import Migration
from pdk.storage.schema import MIGRATIONS as STORAGE_MIGRATIONS

MIGRATIONS: list[Migration] = [
    *STORAGE_MIGRATIONS,
    (
        "pfs-1-projects-repos-branches-commits",
        """
        CREATE TABLE projects (
            id INTEGER PRIMARY KEY,
            name TEXT NOT NULL UNIQUE,
            description TEXT NOT NULL DEFAULT '',
            created TEXT NOT NULL
        );
        CREATE TABLE repos (
            id INTEGER PRIMARY KEY,
            project TEXT NOT NULL REFERENCES projects (name),
            name TEXT NOT NULL,
            type TEXT NOT NULL,
            description TEXT NOT NULL DEFAULT '',
            created TEXT NOT NULL,
            UNIQUE (project, name, type)
        );
        CREATE TABLE commits (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            repo_id INTEGER NOT NULL REFERENCES repos (id) ON DELETE CASCADE,
            set_id TEXT NOT NULL,
            branch TEXT NOT NULL,
            origin INTEGER NOT NULL,
            parent_id INTEGER REFERENCES commits (id),
            description TEXT NOT NULL DEFAULT '',
            error TEXT NOT NULL DEFAULT '',
            started TEXT NOT NULL,
            finishing TEXT,
            finished TEXT,
            tree BLOB,
            size_bytes INTEGER NOT NULL DEFAULT 0,
            UNIQUE (repo_id, set_id)
        );
        CREATE INDEX commits_by_set ON commits (set_id);
        CREATE INDEX commits_by_parent ON commits (parent_id);
        CREATE TABLE branches (
            id INTEGER PRIMARY KEY,
            repo_id INTEGER NOT NULL REFERENCES repos (id) ON DELETE CASCADE,
            name TEXT NOT NULL,
            head_id INTEGER REFERENCES commits (id),
            created TEXT NOT NULL,
            UNIQUE (repo_id, name)
        );
        CREATE INDEX branches_by_head ON branches (head_id);
        CREATE TABLE branch_provenance (
            branch_id INTEGER NOT NULL REFERENCES branches (id) ON DELETE CASCADE,
            upstream_id INTEGER NOT NULL REFERENCES branches (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            PRIMARY KEY (branch_id, upstream_id)
        );
        CREATE INDEX branch_subvenance ON branch_provenance (upstream_id);
        CREATE TABLE commit_provenance (
            commit_id INTEGER NOT NULL REFERENCES commits (id) ON DELETE CASCADE,
            upstream_id INTEGER NOT NULL REFERENCES commits (id) ON DELETE CASCADE,
            position INTEGER NOT NULL,
            PRIMARY KEY (commit_id, upstream_id)
        );
        CREATE INDEX commit_subvenance ON commit_provenance (upstream_id);
        """,
    ),
]
