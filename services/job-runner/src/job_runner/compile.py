"""Compile every kernel into the cache that all processes share: `python -m job_runner.compile`.

Processes that begin at once would each compile the same kernels beside the others, as the test workers of `make test` did.
"""

from job_runner.pool.worker import warm_up
from job_runner.strategies.warming import warm_installed

if __name__ == "__main__":
    warm_up()
    warm_installed()
