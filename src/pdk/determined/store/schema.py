"""The master's tables and the function that opens them.

Times are RFC 3339 text in UTC with microseconds (so text order is time order); JSON columns hold UTF-8 text without
NaN (the harness sends NaN and the infinities as strings). Ids of experiments, trials, models and versions are never
used twice.
"""

from pathlib import Path

from pdk.db.database import Database, Migration

FIRST = """
CREATE TABLE cluster (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
CREATE TABLE users (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    username TEXT NOT NULL UNIQUE,
    display_name TEXT NOT NULL DEFAULT '',
    admin INTEGER NOT NULL,
    active INTEGER NOT NULL DEFAULT 1,
    remote INTEGER NOT NULL DEFAULT 0,
    password TEXT NOT NULL,
    modified_at TEXT NOT NULL,
    last_auth_at TEXT
);
CREATE TABLE sessions (
    token_hash TEXT PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES users (id),
    allocation_id TEXT,
    expires_at TEXT NOT NULL
);
CREATE INDEX sessions_allocation ON sessions (allocation_id);
CREATE TABLE workspaces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    user_id INTEGER NOT NULL REFERENCES users (id),
    archived INTEGER NOT NULL DEFAULT 0,
    immutable INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL
);
CREATE TABLE projects (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace_id INTEGER NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    key TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL DEFAULT '',
    user_id INTEGER NOT NULL REFERENCES users (id),
    archived INTEGER NOT NULL DEFAULT 0,
    immutable INTEGER NOT NULL DEFAULT 0,
    notes TEXT NOT NULL DEFAULT '[]',
    created_at TEXT NOT NULL,
    UNIQUE (workspace_id, name)
);
CREATE TABLE experiments (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    project_id INTEGER NOT NULL REFERENCES projects (id),
    owner_id INTEGER NOT NULL REFERENCES users (id),
    parent_id INTEGER,
    job_id TEXT NOT NULL,
    state TEXT NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0,
    name TEXT NOT NULL,
    description TEXT,
    notes TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '[]',
    config TEXT NOT NULL,
    original_config TEXT NOT NULL,
    model_definition TEXT NOT NULL,
    model_definition_size INTEGER NOT NULL,
    warm_start TEXT,
    start_time TEXT NOT NULL,
    end_time TEXT,
    reason TEXT
);
CREATE INDEX experiments_project ON experiments (project_id);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment_id INTEGER NOT NULL REFERENCES experiments (id) ON DELETE CASCADE,
    request_id TEXT NOT NULL,
    task_id TEXT NOT NULL UNIQUE,
    seed INTEGER NOT NULL,
    hparams TEXT NOT NULL,
    state TEXT NOT NULL,
    restarts INTEGER NOT NULL DEFAULT 0,
    run_id INTEGER NOT NULL DEFAULT 0,
    runner_state TEXT NOT NULL DEFAULT '',
    progress REAL NOT NULL DEFAULT 0,
    start_time TEXT NOT NULL,
    queued_at TEXT NOT NULL,
    end_time TEXT,
    total_batches INTEGER NOT NULL DEFAULT 0,
    warm_start TEXT,
    early_exit TEXT,
    early_exit_at TEXT,
    summary TEXT NOT NULL DEFAULT '{}',
    reason TEXT
);
CREATE INDEX trials_experiment ON trials (experiment_id);
CREATE INDEX trials_state ON trials (state);
CREATE TABLE allocations (
    id TEXT PRIMARY KEY,
    trial_id INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
    task_id TEXT NOT NULL,
    run_id INTEGER NOT NULL,
    container_id TEXT NOT NULL,
    state TEXT NOT NULL,
    resumed_at INTEGER NOT NULL,
    registered_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    exit_code INTEGER,
    exit_reason TEXT,
    preempt_reason TEXT,
    preempt_deadline TEXT,
    preempt_acked INTEGER NOT NULL DEFAULT 0,
    kill_reason TEXT
);
CREATE INDEX allocations_trial ON allocations (trial_id);
CREATE INDEX allocations_open ON allocations (ended_at) WHERE ended_at IS NULL;
CREATE TABLE metrics (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    trial_id INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
    run_id INTEGER NOT NULL,
    metric_group TEXT NOT NULL,
    total_batches INTEGER NOT NULL,
    end_time TEXT NOT NULL,
    averages TEXT NOT NULL,
    batches TEXT,
    searcher_metric REAL,
    archived INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX metrics_trial ON metrics (trial_id, metric_group, archived, total_batches);
CREATE TABLE checkpoints (
    uuid TEXT PRIMARY KEY,
    trial_id INTEGER NOT NULL REFERENCES trials (id) ON DELETE CASCADE,
    task_id TEXT NOT NULL,
    allocation_id TEXT NOT NULL,
    state TEXT NOT NULL,
    report_time TEXT NOT NULL,
    steps_completed INTEGER NOT NULL,
    resources TEXT NOT NULL,
    metadata TEXT NOT NULL,
    size INTEGER NOT NULL,
    folder TEXT NOT NULL,
    removal TEXT
);
CREATE INDEX checkpoints_trial ON checkpoints (trial_id);
CREATE INDEX checkpoints_removal ON checkpoints (removal) WHERE removal IS NOT NULL;
CREATE TABLE models (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE COLLATE NOCASE,
    description TEXT NOT NULL DEFAULT '',
    notes TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '[]',
    metadata TEXT NOT NULL DEFAULT '{}',
    archived INTEGER NOT NULL DEFAULT 0,
    user_id INTEGER NOT NULL REFERENCES users (id),
    workspace_id INTEGER NOT NULL REFERENCES workspaces (id),
    creation_time TEXT NOT NULL,
    last_updated_time TEXT NOT NULL
);
CREATE TABLE model_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL REFERENCES models (id) ON DELETE CASCADE,
    version INTEGER NOT NULL,
    checkpoint_uuid TEXT NOT NULL REFERENCES checkpoints (uuid),
    name TEXT NOT NULL DEFAULT '',
    comment TEXT NOT NULL DEFAULT '',
    notes TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '[]',
    metadata TEXT NOT NULL DEFAULT '{}',
    user_id INTEGER NOT NULL REFERENCES users (id),
    creation_time TEXT NOT NULL,
    last_updated_time TEXT NOT NULL,
    UNIQUE (model_id, version)
);
CREATE INDEX model_versions_checkpoint ON model_versions (checkpoint_uuid);
CREATE TABLE task_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    task_id TEXT NOT NULL,
    trial_id INTEGER,
    allocation_id TEXT,
    container_id TEXT,
    rank_id INTEGER,
    timestamp TEXT NOT NULL,
    level TEXT,
    source TEXT,
    stdtype TEXT,
    log TEXT NOT NULL
);
CREATE INDEX task_logs_task ON task_logs (task_id, id);
CREATE INDEX task_logs_trial ON task_logs (trial_id, id);
"""

MIGRATIONS: list[Migration] = [("0001 first tables", FIRST)]


def open_database(path: Path) -> Database:
    """Open the master's database, creating or migrating it."""
    return Database(path, MIGRATIONS)
