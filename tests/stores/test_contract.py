"""Every store keeps the contract."""

from itertools import count
from pathlib import Path

from holdfast.checks.store import check_store
from holdfast.stores.ram import RamStore
from holdfast.stores.sqlite import SqliteStore


def test_ram_store_keeps_the_contract() -> None:
    check_store(RamStore)


def test_sqlite_store_keeps_the_contract(tmp_path: Path) -> None:
    numbers = count()

    def make(budget: int) -> SqliteStore:
        return SqliteStore(tmp_path / f"{next(numbers)}.holdfast", budget)

    def reopen(store: SqliteStore) -> SqliteStore:
        store.close()
        return SqliteStore(store.path)

    check_store(make, reopen)  # type: ignore[arg-type]
