"""Tables of pps: pipelines (one row per version), jobs, datums, secrets. Logs are files (see `logs`).

Times are RFC 3339 text. `jobs.seq` grows with time: a pipeline runs its jobs in that order. The `datums` rows of a job
are what the original keeps in the meta commit: they outlive the job's row and go with its output commit.
"""

from pdk.db.database import Migration

MIGRATIONS: list[Migration] = [
    (
        "pps-1-pipelines-jobs-datums-secrets",
        """
        CREATE TABLE pipelines (
            project TEXT NOT NULL,
            name TEXT NOT NULL,
            version INTEGER NOT NULL,
            spec_commit TEXT NOT NULL,
            created TEXT NOT NULL,
            updated TEXT NOT NULL,
            stopped INTEGER NOT NULL DEFAULT 0,
            salt TEXT NOT NULL,
            user_spec TEXT NOT NULL,
            effective_spec TEXT NOT NULL,
            PRIMARY KEY (project, name, version)
        );
        CREATE TABLE jobs (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            project TEXT NOT NULL,
            pipeline TEXT NOT NULL,
            id TEXT NOT NULL,
            version INTEGER NOT NULL,
            output_branch TEXT NOT NULL,
            state INTEGER NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            created TEXT NOT NULL,
            started TEXT,
            finished TEXT,
            total INTEGER NOT NULL DEFAULT 0,
            processed INTEGER NOT NULL DEFAULT 0,
            skipped INTEGER NOT NULL DEFAULT 0,
            failed INTEGER NOT NULL DEFAULT 0,
            recovered INTEGER NOT NULL DEFAULT 0,
            restart INTEGER NOT NULL DEFAULT 0,
            download_seconds REAL NOT NULL DEFAULT 0,
            process_seconds REAL NOT NULL DEFAULT 0,
            upload_seconds REAL NOT NULL DEFAULT 0,
            download_bytes INTEGER NOT NULL DEFAULT 0,
            upload_bytes INTEGER NOT NULL DEFAULT 0,
            UNIQUE (project, pipeline, id)
        );
        CREATE INDEX jobs_by_id ON jobs (id);
        CREATE INDEX jobs_unfinished ON jobs (project, pipeline, seq) WHERE finished IS NULL;
        CREATE TABLE datums (
            project TEXT NOT NULL,
            pipeline TEXT NOT NULL,
            job TEXT NOT NULL,
            position INTEGER NOT NULL,
            id TEXT NOT NULL,
            hash TEXT NOT NULL,
            inputs TEXT NOT NULL,
            state INTEGER NOT NULL,
            reason TEXT NOT NULL DEFAULT '',
            processed_by TEXT NOT NULL,
            download_seconds REAL NOT NULL DEFAULT 0,
            process_seconds REAL NOT NULL DEFAULT 0,
            upload_seconds REAL NOT NULL DEFAULT 0,
            download_bytes INTEGER NOT NULL DEFAULT 0,
            upload_bytes INTEGER NOT NULL DEFAULT 0,
            PRIMARY KEY (project, pipeline, job, id)
        ) WITHOUT ROWID;
        CREATE TABLE secrets (
            name TEXT PRIMARY KEY,
            type TEXT NOT NULL,
            data TEXT NOT NULL,
            created TEXT NOT NULL
        );
        """,
    ),
]
