"""How janfs learns that something in the folder may have changed."""
