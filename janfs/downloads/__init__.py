"""Fetching model files: what to fetch, from whom it may come, and how it gets here whole."""
