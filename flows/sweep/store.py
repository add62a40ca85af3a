"""Results on disk: a SQLite file with a row for each job, written as soon as it is done."""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from tilewright.flows.sweep.job import Job, Key, Result
from tilewright.support.errors import InputError

STORE_NAME = "sweep.sqlite"
WAIT_SECONDS = 60.0
"""For another sweep that writes into the same file."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    config TEXT, model TEXT, setup TEXT, code TEXT,
    model_name TEXT, config_toml TEXT, result TEXT,
    PRIMARY KEY (config, model, setup, code)
)"""
"""The key's digests; names and the config to read by; the result as JSON."""


class Store:
    """The results of all sweeps in a folder. Of a damaged file it raises InputError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def find(self, key: Key) -> Result | None:
        """Return what is kept of a job; None where there is nothing."""
        found = self._connection.execute(
            "SELECT result FROM results WHERE config = ? AND model = ? AND setup = ? AND code = ?",
            (key.config, key.model, key.setup, key.code),
        ).fetchone()
        return None if found is None else Result.from_dict(json.loads(found[0]))

    def keep(self, job: Job, result: Result) -> None:
        """Keep a job's result, in place of what was there."""
        key = job.key
        with self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    key.config,
                    key.model,
                    key.setup,
                    key.code,
                    job.model.name,
                    job.config.to_toml(),
                    json.dumps(result.as_dict()),
                ),
            )


@contextlib.contextmanager
def opened(path: Path | None) -> Iterator[Store]:
    """Open the store of that file, made if it is missing; None: a store that no file keeps.

    Raises InputError for a file that is none, or that cannot be written.
    """
    where = ":memory:" if path is None else str(path)
    with contextlib.closing(sqlite3.connect(where, timeout=WAIT_SECONDS)) as connection:
        try:
            connection.execute(SCHEMA)
            yield Store(connection)
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{where}: no store of sweeps ({error}); remove it or choose another folder"
            ) from None
