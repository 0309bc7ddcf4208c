"""What the log says of the past: moments, versions of a model.json, who set what, and why. Pure."""
