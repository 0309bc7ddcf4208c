"""Engines on other machines that speak OpenAI's API: who is asked, what is sent, what comes back."""
