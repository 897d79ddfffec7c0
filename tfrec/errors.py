"""The one error that a user can mend."""


class UserError(Exception):
    """A mistake in a config, a file or a request: one line that names it, its value and the remedy.

    The command line prints the line and exits with `exit_status`; anything else that is raised is a
    bug of ours and shows its traceback.
    """

    exit_status = 2
