"""How model families write what is not plain text: their thoughts, and their calls of tools. Pure."""
