"""Bringing models in from elsewhere on this machine: what is worth taking, and how it gets here."""
