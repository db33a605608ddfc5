"""Contract suites for mechanisms of your own: run one on yours to know that it fits."""

from holdfast.checks.policy import check_policy

__all__ = ["check_policy"]
