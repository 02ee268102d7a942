"""What a PostgreSQL server is asked in one round trip, and what it means. Versions 10 and later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from exporters.catalog import databases as catalog
from exporters.probes.pg_wire import Row
from exporters.probes.verdict import Figures, Reason, down

MAX_DATABASES = 50
_DATABASE = tuple(catalog.PG_DATABASE)
_LAG = (
    "CASE WHEN NOT pg_is_in_recovery() THEN 0 "
    "WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 "
    "ELSE greatest(0, extract(epoch FROM now() - pg_last_xact_replay_timestamp())) END"
)
# A replica that has lost its primary is not behind: it has played all that it got. That it is to stream is a setting
# (12 and later), which pg_monitor may read and others do not see.
_CUT = (
    "(pg_is_in_recovery() AND NOT EXISTS (SELECT FROM pg_stat_wal_receiver) "
    "AND EXISTS (SELECT FROM pg_settings WHERE name = 'primary_conninfo' AND setting <> ''))::int"
)
_STATEMENTS = (
    f"SELECT pg_is_in_recovery()::int, {_LAG}, extract(epoch FROM pg_postmaster_start_time()), "  # noqa: S608
    f"current_setting('max_connections'), current_setting('superuser_reserved_connections'), {_CUT}",
    "SELECT coalesce(state, 'none'), count(*), "
    "max(extract(epoch FROM now() - xact_start)) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() GROUP BY 1",
    f"SELECT datid, datname, {', '.join(_DATABASE)}, "  # noqa: S608
    "(SELECT age(d.datfrozenxid) FROM pg_database d WHERE d.oid = s.datid) "
    f"FROM pg_stat_database s WHERE datname IS NOT NULL AND datname NOT LIKE 'template%' LIMIT {MAX_DATABASES}",
    "SELECT application_name, state, "
    "CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) END "
    "FROM pg_stat_replication LIMIT 20",
    "SELECT slot_name, active::int FROM pg_replication_slots LIMIT 20",
)
EVERY_TIME = ";".join(_STATEMENTS)
SIZES = (
    "SELECT datname, pg_database_size(datname) FROM pg_database "  # noqa: S608
    f"WHERE datallowconn AND NOT datistemplate LIMIT {MAX_DATABASES}"
)


def number(text: str | None) -> float | None:
    try:
        return float(text) if text is not None else None
    except ValueError as error:
        raise down(Reason.UNEXPECTED) from error


@dataclass(frozen=True, slots=True)
class Reading:
    """``slots``: connections that ordinary users may have; ``used``: those there are; ``lag`` in seconds. ``cut``: a
    replica that gets nothing from its primary."""

    answers: Sequence[Sequence[Row]]
    replica: bool
    lag: float | None
    slots: float
    used: float
    cut: bool = False

    @classmethod
    def of(cls, answers: Sequence[Sequence[Row]]) -> Reading:
        """Raises Unwell when the answer has another shape than asked."""
        if len(answers) != len(_STATEMENTS) or len(answers[0]) != 1 or len(answers[0][0]) != 6:
            raise down(Reason.UNEXPECTED)
        replica, lag, _, most, reserved, cut = (number(value) for value in answers[0][0])
        used = sum(number(row[1]) or 0 for row in answers[1])
        return cls(answers, bool(replica), lag, (most or 0) - (reserved or 0), used, bool(cut))

    def tell(self, figures: Figures) -> None:
        general, activity, databases, standbys, slots = self.answers
        _, lag, started, most, reserved, _ = (number(value) for value in general[0])
        figures.add(catalog.PG_IS_REPLICA, 1.0 if self.replica else 0.0)
        figures.add(catalog.PG_LAG, lag)
        figures.add(catalog.PG_START, started)
        figures.add(catalog.PG_MAX_CONNECTIONS, most)
        figures.add(catalog.PG_RESERVED, reserved)
        for state, count, _ in activity:
            figures.add(catalog.PG_ACTIVITY, number(count), state or "")
        longest = [seconds for row in activity if (seconds := number(row[2])) is not None]
        figures.add(catalog.PG_MAX_TX, max(longest, default=0.0))
        for oid, name, *columns, age in databases:
            for column, value in zip(_DATABASE, columns, strict=True):
                figures.add(catalog.PG_DATABASE[column], number(value), oid or "", name or "")
            figures.add(catalog.PG_WRAPAROUND, number(age), name or "")
        for application, state, behind in standbys:
            figures.add(catalog.PG_STANDBY_LAG, number(behind), application or "", state or "")
        for slot, active in slots:
            figures.add(catalog.PG_SLOT_ACTIVE, number(active), slot or "")


def sizes(rows: Sequence[Row]) -> list[tuple[str, float]]:
    return [(name or "", size) for name, text in rows if (size := number(text)) is not None]
