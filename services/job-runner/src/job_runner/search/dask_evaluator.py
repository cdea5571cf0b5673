"""A generation's candidates worked out on a Dask cluster.

Role: an adapter of the `Evaluator` port. It only spreads the work: the same function runs there as here, on the same
bars, and the answers come back in order, so a search on a cluster is the very search in one process. Needs the extra
`dask`.
"""

import importlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

from autonomy.errors import BadInput, Broken, Retryable
from autonomy.strategies import Value
from job_runner.engine.fills import ENGINE_VERSION
from job_runner.search.evaluation import Scores, SearchCase, score
from job_runner.strategies.coded import by_name

# A candidate takes a tenth of a millisecond, a message to a cluster some milliseconds.
BATCH = 32
CONNECT_S = 10.0


class ClusterLost(Retryable):
    """The cluster cannot be reached, or went away; another attempt may find it."""


@dataclass(slots=True, eq=False)
class DaskEvaluator:
    """Works out scores on a cluster.

    Args:
        address: of its scheduler, such as `tcp://10.0.0.5:8786`.
    """

    address: str
    _client: Any = field(default=None, repr=False)
    _case: SearchCase | None = field(default=None, repr=False)
    _sent: Any = field(default=None, repr=False)

    @override
    def __getstate__(self) -> str:
        """Only the address crosses process boundaries; the far side connects for itself."""
        return self.address

    def __setstate__(self, address: str) -> None:
        """See `__getstate__`."""
        self.address, self._client, self._case, self._sent = address, None, None, None

    def evaluate(self, case: SearchCase, candidates: Sequence[Mapping[str, Value]]) -> Iterator[Scores]:
        """See `Evaluator.evaluate`.

        Raises:
            BadInput: the extra `dask` is not installed.
            ClusterLost: no cluster at the address.
            Broken: a worker has other code.
        """
        client = self._connected()
        code = (ENGINE_VERSION, case.strategy.offer.code_hash)
        batches = [list(candidates[first : first + BATCH]) for first in range(0, len(candidates), BATCH)]
        try:
            if self._case is not case:
                # The bars go to the workers once per search.
                self._case, self._sent = case, client.scatter(case, broadcast=True, hash=False)
            pending = [client.submit(score_batch, self._sent, batch, code, pure=False) for batch in batches]
            for answer in pending:
                yield from answer.result()
        except (OSError, CancelledError, _distributed().KilledWorker) as gone:
            raise ClusterLost(f"Dask cluster {self.address}: {gone!r}") from gone

    def close(self) -> None:
        """Leave the cluster."""
        if self._client is not None:
            self._client.close()
        self._client, self._case, self._sent = None, None, None

    def _connected(self) -> Any:  # noqa: ANN401 - distributed is an extra
        if self._client is None:
            distributed = _distributed()
            try:
                self._client = distributed.Client(self.address, timeout=CONNECT_S, set_as_default=False)
            except OSError as gone:
                raise ClusterLost(f"no Dask cluster at {self.address}: {gone}") from gone
        return self._client


def _distributed() -> Any:  # noqa: ANN401 - distributed is an extra
    try:
        return importlib.import_module("distributed")
    except ModuleNotFoundError as missing:
        raise BadInput("EVOLUTION_DASK_ADDRESS", "the extra `dask`, installed (pip install distributed)") from missing


def score_batch(case: SearchCase, candidates: Sequence[Mapping[str, Value]], code: tuple[str, str]) -> list[Scores]:
    """Scores of a batch, on a worker.

    Args:
        case: what they are judged on.
        candidates: checked parameter documents.
        code: engine version and code hash of the strategy, where the search runs.

    Raises:
        Broken: this worker's are others.
    """
    own = (ENGINE_VERSION, by_name(case.strategy.name).offer.code_hash)
    if own != code:
        raise Broken(f"this worker's code of {case.strategy.name} is {own[1][:12]}, the search's is {code[1][:12]}")
    return [score(case, candidate) for candidate in candidates]
