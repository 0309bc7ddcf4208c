"""What is in the folder, as a pure fold of the log."""
