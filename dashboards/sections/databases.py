"""What Redis, PostgreSQL and MinIO tell. Empty where a probe may not ask (no user, no password)."""

from __future__ import annotations

from collections.abc import Collection

from dashboards import limits, look
from dashboards.board import Section, Tile, note
from dashboards.queries import Query, by, increase, pick, rate, ratio
from dashboards.view import View
from exporters.catalog import databases as catalog
from exporters.catalog.databases import PG_DATABASE, REDIS_NUMBERS, REDIS_WORDS
from exporters.catalog.services import MINIO_HEALING

_OF = "node, service"
_SAVED = (look.State(0, "FAILED", look.RED), look.State(1, "saved", look.GREEN), look.NO_DATA)


def redis(view: View) -> list[Tile]:
    return [*_redis_memory(view), *_redis_work(view), *_redis_trouble(view)]


def _redis_memory(view: View) -> list[Tile]:
    house, scope, legend = view.house, view.exporters, view.name("service")
    count = view.services("redis")
    used, most = pick(REDIS_NUMBERS["used_memory"], scope), pick(REDIS_NUMBERS["maxmemory"], scope)
    return [
        house.graph(
            "Redis memory",
            note(
                "Memory that Redis uses for its data.",
                "At maxmemory it evicts keys or refuses writes; without one it takes what the board has.",
                "redis-cli info memory; look for keys that never expire (redis-cli --bigkeys).",
            ),
            [Query(used, legend)],
            "bytes",
            lines=count,
            width=8,
        ),
        house.graph(
            "Redis share of its limit",
            note(
                "Used memory as a share of maxmemory; nothing where no limit is set.",
                "The last tenth goes quickly when something stores without end.",
                "Dashed: RedisMemoryAlmostFull. Raise maxmemory, or set maxmemory-policy allkeys-lru for a cache.",
            ),
            [Query(ratio(used, most), legend)],
            "percentunit",
            lines=count,
            high=1,
            limit=limits.REDIS_MEMORY,
            width=8,
        ),
    ]


def _redis_work(view: View) -> list[Tile]:
    house, scope, legend = view.house, view.exporters, view.name("service")
    count = view.services("redis")
    hits, misses = rate(REDIS_NUMBERS["keyspace_hits"], scope), rate(REDIS_NUMBERS["keyspace_misses"], scope)
    return [
        house.graph(
            "Redis commands",
            note(
                "Commands a second.",
                "The work that the cache takes off the database.",
                "A jump without more users: redis-cli --stat; redis-cli monitor for a second tells who asks.",
            ),
            [Query(rate(REDIS_NUMBERS["total_commands_processed"], scope), legend)],
            "ops",
            lines=count,
            width=8,
        ),
        house.graph(
            "Found in Redis",
            note(
                "Share of look-ups that found their key; nothing while nobody looks.",
                "A cache that does not find anything is only work.",
                "Falling: keys expire or are evicted too early; see the evicted ones beside.",
            ),
            [Query(ratio(hits, f"({hits} + {misses})"), legend)],
            "percentunit",
            lines=count,
            high=1,
            width=8,
        ),
    ]


def _redis_trouble(view: View) -> list[Tile]:
    house, scope, legend = view.house, view.exporters, view.name("service")
    count = view.services("redis")
    return [
        house.graph(
            "Evicted keys, refused clients",
            note(
                "Keys thrown away because memory ran out, and connections refused because maxclients are there.",
                "Evicted sessions are people who are logged out; refused clients are errors.",
                "redis-cli client list; raise maxmemory or maxclients.",
            ),
            [
                Query(increase(REDIS_NUMBERS["evicted_keys"], scope), f"{legend} evicted"),
                Query(increase(REDIS_NUMBERS["rejected_connections"], scope), f"{legend} refused"),
            ],
            "short",
            lines=2 * count,
            width=8,
        ),
        house.timeline(
            "Redis saved to disk",
            note(
                "Whether the last snapshot and the last write of the log succeeded.",
                "After a failure Redis refuses writes, and a restart loses what came since.",
                "df -h; free -m (a snapshot needs memory to fork); redis-cli bgsave.",
            ),
            [
                Query(pick(REDIS_WORDS["rdb_last_bgsave_status"], scope), f"{legend} snapshot"),
                Query(pick(REDIS_WORDS["aof_last_write_status"], scope), f"{legend} log"),
            ],
            _SAVED,
            rows=2 * count,
            width=8,
        ),
    ]


def postgresql(view: View) -> list[Tile]:
    return [*_connections(view), *_transactions(view), *_safety(view)]


def _connections(view: View) -> list[Tile]:
    house, scope, legend = view.house, view.exporters, view.name("service")
    count = view.services("postgresql")
    open_ones = by(_OF, "sum", pick(catalog.PG_ACTIVITY, scope))
    slots = f"{pick(catalog.PG_MAX_CONNECTIONS, scope)} - {pick(catalog.PG_RESERVED, scope)}"
    return [
        house.graph(
            "PostgreSQL connections by state",
            note(
                "Connections by what they do. Needs a user for the probe (GRANT pg_monitor).",
                "Idle in transaction holds locks and keeps deleted rows; many idle ones are a pool too large.",
                "psql: SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2.",
            ),
            [Query(pick(catalog.PG_ACTIVITY, scope), view.name("service", "state"))],
            "short",
            lines=4 * count,
            stack=True,
            by_node=False,
            width=8,
        ),
        house.graph(
            "PostgreSQL connections used",
            note(
                "Connections as a share of those that ordinary users may have.",
                "At 100 % programs get an error instead of an answer.",
                "Dashed: PostgresConnectionsHigh. Make pools smaller, or raise max_connections.",
            ),
            [Query(f"{open_ones} / {by(_OF, 'sum', slots)}", legend)],
            "percentunit",
            lines=count,
            high=1,
            limit=limits.PG_CONNECTIONS,
            width=8,
        ),
        house.graph(
            "Longest transaction",
            note(
                "How long the oldest open transaction has run.",
                "While it does, nothing that was deleted since gives its space back.",
                "Dashed: PostgresLongTransaction. pg_terminate_backend(pid) ends one that was forgotten.",
            ),
            [Query(pick(catalog.PG_MAX_TX, scope), legend)],
            "s",
            lines=count,
            limit=limits.PG_TRANSACTION,
            width=8,
        ),
    ]


def _transactions(view: View) -> list[Tile]:
    house, scope = view.house, view.exporters
    name, several = view.name("datname"), 3 * view.services("postgresql")
    hits, reads = rate(PG_DATABASE["blks_hit"], scope), rate(PG_DATABASE["blks_read"], scope)
    return [
        house.graph(
            "Transactions",
            note(
                "Transactions a second of each database; those rolled back are drawn downwards.",
                "The database's work. Roll-backs are errors that a program met.",
                "Many roll-backs: the log of the database says which statement and why.",
            ),
            [
                Query(rate(PG_DATABASE["xact_commit"], scope), name),
                Query(rate(PG_DATABASE["xact_rollback"], scope), f"{name} rolled back"),
            ],
            "ops",
            lines=several,
            mirrored=" rolled back$",
            by_node=False,
            width=8,
            height=9,
        ),
        house.graph(
            "Read from memory",
            note(
                "Share of blocks that were in the database's own memory; nothing while nobody reads.",
                "Below nine tenths with real work, the disk is what people wait for.",
                "More shared_buffers, or an index for the query that reads everything.",
            ),
            [Query(ratio(hits, f"({hits} + {reads})"), name)],
            "percentunit",
            lines=several,
            high=1,
            by_node=False,
            width=8,
            height=9,
        ),
        house.graph(
            "Deadlocks and spills to disk",
            note(
                "Transactions that blocked each other, and temporary files that did not fit into work_mem (MiB).",
                "Deadlocks are errors; spills are slow queries.",
                "log_lock_waits = on, log_temp_files = 0 name the statements.",
            ),
            [
                Query(increase(PG_DATABASE["deadlocks"], scope), f"{name} deadlocks"),
                Query(f"{increase(PG_DATABASE['temp_bytes'], scope)} / 1048576", f"{name} MiB spilled"),
            ],
            "short",
            lines=several,
            by_node=False,
            width=8,
            height=9,
        ),
    ]


def _safety(view: View) -> list[Tile]:
    house, scope, legend = view.house, view.exporters, view.name("service")
    count = view.services("postgresql")
    return [
        house.graph(
            "Behind the primary",
            note(
                "How old the newest change is that a replica has; 0 on a primary.",
                "What a replica answers is so old, and a failover would lose so much.",
                "Dashed: PostgresReplicaBehind. On the primary: SELECT * FROM pg_stat_replication.",
            ),
            [Query(pick(catalog.PG_LAG, scope), legend)],
            "s",
            lines=count,
            limit=limits.PG_LAG,
            width=8,
        ),
        house.graph(
            "Kept for replicas",
            note(
                "Bytes of the log that each standby has not played yet, seen from the primary.",
                "Grows while a standby is away or slow; with a slot until the disk is full.",
                "Bring the standby back, or drop its slot: SELECT pg_drop_replication_slot('NAME').",
            ),
            [Query(pick(catalog.PG_STANDBY_LAG, scope), view.name("application_name"))],
            "bytes",
            lines=count,
            by_node=False,
            width=8,
        ),
        house.graph(
            "Database size",
            note(
                "Disk space of each database.",
                "The slope tells when the disk is full.",
                "psql: SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class ORDER BY 2 DESC.",
            ),
            [Query(pick(catalog.PG_SIZE, scope), view.name("datname"))],
            "bytes",
            lines=3 * count,
            by_node=False,
            width=8,
        ),
    ]


def minio(view: View) -> list[Tile]:
    return [
        view.house.graph(
            "Drives that MinIO heals",
            note(
                "Drives that MinIO is healing.",
                "While it does, another failure can lose objects. A single lost drive shows only on MinIO's own page.",
                "mc admin info ALIAS; replace the drive when it does not end.",
            ),
            [Query(pick(MINIO_HEALING, view.exporters), view.name("service"))],
            "short",
            lines=view.services("minio"),
            limit=limits.ANY_WARNING,
            width=24,
        )
    ]


def sections(view: View, kinds: Collection[str], *, collapsed: bool = False) -> list[Section]:
    """One for each kind of store that there is."""
    found = []
    if "postgresql" in kinds:
        found.append(Section("PostgreSQL", postgresql(view), collapsed=collapsed))
    if "redis" in kinds:
        found.append(Section("Redis", redis(view), collapsed=collapsed))
    if "minio" in kinds:
        found.append(Section("MinIO", minio(view), collapsed=True))
    return found
