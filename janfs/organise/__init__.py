"""Deciding what should lie where (pure), and doing it on disk."""
