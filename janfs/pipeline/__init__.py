"""The one loop that owns the log and the folder: look, append, project, plan, act, append, publish."""
