"""Path-style addressing for the E2B SDK, for installations without wildcard DNS."""
