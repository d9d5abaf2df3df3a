"""The gateway's tables in Postgres, all in the schema `gateway`; every other table is the handlers' own.

Migrations are applied by `gateway store migrate`, in order, each in one transaction, and never edited once released.
Times are microseconds since the epoch. Texts that come from senders (`key`, `event_id`, `type`) are for finding a row;
what Postgres cannot hold of them is replaced, and the exact event stands in `head` and `body`. In `event` they are
their exact bytes. `seq` there is the order of insertion, in which one who follows it sees every row.
An offset in `cursor` means that all up to and including it has a durable outcome. `revision` counts the changes of a
partition's rows in `parked` and `dead`; its row is their lock. A row of `gap` tells how many events after the finished
offset `after` the log let go before the router had them.
"""

_PAIR = """handler text not null, dedupe_key bytea not null, replay text not null,
        key text not null, partition bigint not null, "offset" bigint not null,
        attempt integer not null, replay_id text not null, new_keys boolean not null,
        first_failed_us bigint, error text not null, head bytea not null, body bytea not null,"""

MIGRATIONS: tuple[str, ...] = (
    f"""
    create table gateway.handler (
        id integer generated always as identity primary key,
        router text not null, name text not null, unique (router, name)
    );
    create table gateway.mark (
        handler integer not null, dedupe_key bytea not null, replay text not null,
        outcome text not null, attempts integer not null, at_us bigint not null,
        primary key (handler, dedupe_key, replay)
    );
    create index mark_at on gateway.mark (at_us);
    create table gateway.guard (
        handler integer not null, source bytea not null, key bytea not null,
        version bigint not null, at_us bigint not null,
        primary key (handler, source, key)
    );
    create index guard_at on gateway.guard (at_us);
    create table gateway.expiry (what text primary key, before_us bigint not null);

    create table gateway.router (name text primary key, paused text not null default '', registered_us bigint not null);
    create table gateway.cursor (
        router text not null, partition bigint not null, "offset" bigint not null,
        primary key (router, partition)
    );
    create table gateway.worker (
        router text not null, instance text not null, seen_us bigint not null,
        primary key (router, instance)
    );

    create table gateway.parked (
        id bigint generated always as identity primary key,
        router text not null,
        {_PAIR}
        due_us bigint, at_us bigint not null,
        unique (dedupe_key, router, handler, replay, partition)
    );
    create index parked_due on gateway.parked (router, partition, due_us, id) where due_us is not null;
    create index parked_lane on gateway.parked (router, partition, handler, key, (due_us is null), "offset", id);
    create table gateway.revision (
        router text not null, partition bigint not null, revision bigint not null,
        primary key (router, partition)
    );

    create table gateway.dead (
        id bigint generated always as identity primary key,
        router text not null,
        {_PAIR}
        source text not null, event_id text not null, type text not null,
        reason text not null, trace text not null, died_us bigint not null,
        unique (dedupe_key, router, handler, replay)
    );
    create index dead_router on gateway.dead (router, id);
    create index dead_partition on gateway.dead (router, partition);

    create table gateway.replay (
        router text not null, id text not null, state text not null, document bytea not null,
        owner text not null default '', owned_until_us bigint not null default 0,
        primary key (router, id)
    );
    create table gateway.running (
        router text not null, handler text not null, dedupe_key bytea not null, replay text not null,
        instance text not null,
        primary key (router, handler, dedupe_key, replay)
    );
    create table gateway.crash (
        router text not null, handler text not null, dedupe_key bytea not null, replay text not null,
        crashes integer not null,
        primary key (router, handler, dedupe_key, replay)
    );

    create table gateway.event (
        seq bigint generated always as identity,
        partition bigint not null, "offset" bigint not null,
        source text not null, provider text not null, event_id bytea not null, type bytea not null, key bytea not null,
        time_us bigint, received_us bigint not null,
        identity bytea not null, body_sha256 bytea not null, body_bytes integer not null, flags text not null,
        primary key (partition, "offset")
    );
    create index event_seq on gateway.event (seq);
    create index event_identity on gateway.event (identity);
    create index event_received on gateway.event (received_us);
    create index event_source on gateway.event (source, received_us);
    create index event_type on gateway.event (type, received_us);
    create index event_key on gateway.event (key, received_us);
    """,
    """
    create table gateway.gap (
        router text not null, partition bigint not null, after bigint not null, events bigint not null,
        primary key (router, partition, after)
    );
    """,
)
