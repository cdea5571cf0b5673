"""How a job in the pool ends when it has no result: exact words for each death, and whether another attempt may fare better."""

from signal import SIGKILL

from autonomy.errors import Poison, Retryable


class WorkerLost(Retryable):
    """The worker process ended in the middle of a job.

    Args:
        job_id: of the job.
        exit_code: of the process; a negative number is a signal's.
        out_of_memory: the worker itself said that memory ran out.
    """

    def __init__(self, job_id: str, exit_code: int | None, *, out_of_memory: bool = False) -> None:
        self.job_id = job_id
        self.exit_code = exit_code
        self.exit_signal = -exit_code if exit_code is not None and exit_code < 0 else None
        # The kernel's out-of-memory killer sends SIGKILL, and so may an operator: nothing else does here.
        self.was_killed = self.exit_signal == SIGKILL
        self.out_of_memory = out_of_memory
        how = "out of memory" if out_of_memory else f"exit code {exit_code}"
        super().__init__(f"worker lost in job {job_id}: {how}")


class JobTimeout(Retryable):
    """The job took longer than allowed; its worker was killed."""


class HelpLost(Retryable):
    """Something outside that the job leans on, such as a cluster, went away; another attempt may find it."""


class ExecutorStopped(Retryable):
    """The pool was stopped before the job was done; another runner may do it."""


class JobCrashed(Poison):
    """A fault in our own code; the message holds the worker's traceback."""
