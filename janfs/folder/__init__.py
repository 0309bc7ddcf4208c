"""The only code that touches the models folder: file system, watcher, scanner, settling, GGUF headers."""
