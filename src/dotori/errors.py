"""The errors that are shown to people without a traceback. Everything else is a bug and keeps its traceback.

    UserError            bad input; exit code 65
      ProofError         a stage's proof failed; exit code 65
      DiskError          the disk is full or refuses to write; exit code 73
      Interrupted        stopped on request, can be continued; exit code 75

Form of a message: `what: value got; rule; what to do`.
"""


class UserError(Exception):
    """Bad input. The message names the value, the rule and the fix."""

    exit_code = 65


class ProofError(UserError):
    """A check that ends a stage did not hold; the stage's folder is not written."""


class DiskError(UserError):
    """The file system refused a write (full, read-only, quota); nothing half-written stays."""

    exit_code = 73


class Interrupted(UserError):
    """Stopped by Ctrl-C, SIGTERM or a time slice; the same command continues from here."""

    exit_code = 75
