"""Redis and PostgreSQL under the names of redis_exporter and postgres_exporter, with a label ``service`` in front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from exporters.catalog.metric import Kind, Metric


def _of(name: str, text: str, *labels: str, kind: Kind = "gauge") -> Metric:
    return Metric(name, kind, text, ("service", *labels))


def _redis(name: str, kind: Kind = "gauge") -> Metric:
    return _of(f"redis_{name}", f"{name} metric", kind=kind)


REDIS_UP = _redis("up")
REDIS_INFO = _of("redis_instance_info", "Information about the Redis instance", "role", "redis_version", "redis_mode")
REDIS_LINK = _of("redis_master_link_up", "master_link_up metric", "master_host", "master_port")
REDIS_KEYS = _of("redis_db_keys", "Total number of keys by DB", "db")
# Field of INFO -> metric of a number told as it is.
REDIS_NUMBERS: Final[Mapping[str, Metric]] = {
    "uptime_in_seconds": _redis("uptime_in_seconds"),
    "connected_clients": _redis("connected_clients"),
    "blocked_clients": _redis("blocked_clients"),
    "maxclients": _redis("max_clients"),
    "used_memory": _redis("memory_used_bytes"),
    "used_memory_rss": _redis("memory_used_rss_bytes"),
    "maxmemory": _redis("memory_max_bytes"),
    "mem_fragmentation_ratio": _redis("mem_fragmentation_ratio"),
    "loading": _redis("loading_dump_file"),
    "rdb_changes_since_last_save": _redis("rdb_changes_since_last_save"),
    "rdb_last_save_time": _redis("rdb_last_save_timestamp_seconds"),
    "connected_slaves": _redis("connected_slaves"),
    "total_commands_processed": _redis("commands_processed_total", "counter"),
    "rejected_connections": _redis("rejected_connections_total", "counter"),
    "expired_keys": _redis("expired_keys_total", "counter"),
    "evicted_keys": _redis("evicted_keys_total", "counter"),
    "keyspace_hits": _redis("keyspace_hits_total", "counter"),
    "keyspace_misses": _redis("keyspace_misses_total", "counter"),
}
# Field of INFO -> metric of a word: ok is 1, anything else 0.
REDIS_WORDS: Final[Mapping[str, Metric]] = {
    "rdb_last_bgsave_status": _redis("rdb_last_bgsave_status"),
    "aof_last_write_status": _redis("aof_last_write_status"),
}

PG_UP = _of("pg_up", "Whether the last scrape of metrics from PostgreSQL was able to connect to the server.")
PG_STATIC = _of("pg_static", "Version string as reported by postgres", "short_version")
PG_START = _of("pg_postmaster_start_time_seconds", "Time at which postmaster started")
PG_ACTIVITY = _of("pg_stat_activity_count", "number of connections in this state", "state")
PG_MAX_TX = _of("pg_stat_activity_max_tx_duration", "max duration in seconds any active transaction has been running")
PG_MAX_CONNECTIONS = _of("pg_settings_max_connections", "Server Parameter: max_connections")
PG_RESERVED = _of("pg_settings_superuser_reserved_connections", "Server Parameter: superuser_reserved_connections")
PG_IS_REPLICA = _of("pg_replication_is_replica", "Indicates if the server is a replica")
PG_LAG = _of("pg_replication_lag_seconds", "Replication lag behind master in seconds")
PG_STANDBY_LAG = _of(
    "pg_stat_replication_pg_wal_lsn_diff", "Lag in bytes between primary and standby", "application_name", "state"
)
PG_SLOT_ACTIVE = _of("pg_replication_slots_active", "Flag indicating if the slot is active", "slot_name")
PG_SIZE = _of("pg_database_size_bytes", "Disk space used by the database", "datname")
PG_WRAPAROUND = _of(
    "pg_database_wraparound_age_datfrozenxid_seconds",
    "Age of the oldest transaction ID that has not been frozen (a number of transactions, whatever the name says).",
    "datname",
)


def _database(column: str, text: str, kind: Kind = "counter") -> Metric:
    return _of(f"pg_stat_database_{column}", text, "datid", "datname", kind=kind)


# Column of pg_stat_database -> metric.
PG_DATABASE: Final[Mapping[str, Metric]] = {
    "numbackends": _database("numbackends", "Number of backends currently connected to this database.", "gauge"),
    "xact_commit": _database("xact_commit", "Number of transactions in this database that have been committed"),
    "xact_rollback": _database("xact_rollback", "Number of transactions in this database that have been rolled back"),
    "blks_read": _database("blks_read", "Number of disk blocks read in this database"),
    "blks_hit": _database("blks_hit", "Number of times disk blocks were found already in the buffer cache"),
    "deadlocks": _database("deadlocks", "Number of deadlocks detected in this database"),
    "temp_bytes": _database("temp_bytes", "Total amount of data written to temporary files by queries"),
}
