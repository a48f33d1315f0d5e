"""SQLite: connections in WAL mode, transactions, migrations."""
