"""model.json: reading every spelling, generating it, and the settings that follow. Pure: knows no disk."""
