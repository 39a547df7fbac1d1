"""The one kind of error that is the user's to mend: one line, no traceback, exit status 2."""


class UserError(ValueError):
    """Names the thing, the value that was given, and the way out, in one line."""
