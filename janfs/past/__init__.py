"""Asking the log about the past: what was at a moment, what changed since, by whom and why."""
