"""The command line ``skhand``; one module a command, which imports what it needs when it runs."""

from skhand.cli._main import main

__all__ = ["main"]
