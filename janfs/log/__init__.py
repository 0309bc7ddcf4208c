"""The append-only event log on SQLite. It knows nothing of what events mean."""
