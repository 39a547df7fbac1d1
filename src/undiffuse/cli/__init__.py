"""The command line: thin. It parses, calls the API and shows what comes back."""
