"""Ours by name: some libraries install a package called tests, which would go before a folder without this file."""
