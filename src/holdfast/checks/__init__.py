"""Contract suites for mechanisms of your own: run one on yours to know that it fits."""

from holdfast.checks.embedder import check_embedder
from holdfast.checks.policy import check_policy
from holdfast.checks.store import check_store

__all__ = ["check_embedder", "check_policy", "check_store"]
