"""The tables of `state/<router>.db`, all named `gateway_*`; every other table is the router's own.

The log's retention reads `gateway_cursor` and `gateway_meta`; change these two with it. Times are microseconds since
the epoch. An offset in `gateway_cursor` means that all up to and including it has a durable outcome.
"""

MIGRATIONS: tuple[str, ...] = (
    """
    create table gateway_meta (key text primary key, value) without rowid;
    create table gateway_cursor (partition integer primary key, offset integer not null);
    create table gateway_handler (id integer primary key, name text not null unique);

    create table gateway_mark (
        handler integer not null, dedupe_key blob not null, replay text not null,
        outcome text not null, attempts integer not null, at_us integer not null,
        primary key (handler, dedupe_key, replay)
    ) without rowid;
    create index gateway_mark_at on gateway_mark (at_us);
    create table gateway_guard (
        handler integer not null, source text not null, key text not null,
        version integer not null, at_us integer not null,
        primary key (handler, source, key)
    ) without rowid;
    create index gateway_guard_at on gateway_guard (at_us);

    create table gateway_parked (
        id integer primary key autoincrement,
        handler text not null, dedupe_key blob not null, replay text not null,
        key text not null, partition integer not null, offset integer not null,
        attempt integer not null, replay_id text not null, new_keys integer not null,
        first_failed_us integer, error text not null, head blob not null, body blob not null,
        due_us integer, at_us integer not null,
        unique (handler, dedupe_key, replay)
    );
    create index gateway_parked_due on gateway_parked (due_us, id) where due_us is not null;
    create index gateway_parked_lane on gateway_parked (handler, key, partition, offset);

    create table gateway_dead (
        id integer primary key autoincrement,
        handler text not null, dedupe_key blob not null, replay text not null,
        key text not null, partition integer not null, offset integer not null,
        attempt integer not null, replay_id text not null, new_keys integer not null,
        first_failed_us integer, error text not null, head blob not null, body blob not null,
        source text not null, event_id text not null, type text not null,
        reason text not null, trace text not null, died_us integer not null,
        unique (handler, dedupe_key, replay)
    );

    create table gateway_replay (id text primary key, state text not null, document blob not null) without rowid;
    create table gateway_running (
        handler text not null, dedupe_key blob not null, replay text not null,
        primary key (handler, dedupe_key, replay)
    ) without rowid;
    create table gateway_crash (
        handler text not null, dedupe_key blob not null, replay text not null, crashes integer not null,
        primary key (handler, dedupe_key, replay)
    ) without rowid;
    """,
)
