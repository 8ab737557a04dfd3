"""This engine's side: the real driver, server and store, on the migrated SQLite file that DATABASE_URL names."""
