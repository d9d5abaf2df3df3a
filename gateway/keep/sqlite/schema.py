"""The tables of `events.db`. Times are microseconds since the epoch; `expires_day` is a day's number since the epoch.

`event.seq` has no holes between the oldest and the newest row: rows leave from the old end alone, and the newest one
never leaves. So counting is arithmetic, and no number is ever given twice.

`id` remembers an event's identity longer than the event itself; `conflict` holds further bodies that came under an
unsigned id. `meta.indexed_seq` says up to which event the ids are in `id`: those of newer events are in memory, and
found again from the events at the next start (`ids`). Rows go in through the view `arrival`, which refuses known ids,
so that looking and storing take one statement.
"""

FILE_NAME = "events.db"
STATE_FOLDER = "state"
PAGE_SIZE = 8192

MIGRATIONS: tuple[str, ...] = (
    """
    create table meta (key text primary key, value) without rowid;
    insert into meta values ('log_id', lower(hex(randomblob(16)))), ('indexed_seq', 0);

    create table event (
        seq integer primary key, received_us integer not null, head blob not null, body blob not null,
        source text generated always as (json_extract(cast(head as text), '$.source')) virtual,
        event_id text generated always as (json_extract(cast(head as text), '$.id')) virtual,
        type text generated always as (json_extract(cast(head as text), '$.type')) virtual,
        key text generated always as (json_extract(cast(head as text), '$.key')) virtual
    );
    create table id (
        identity blob primary key, digest blob not null, seq integer not null, expires_day integer not null
    ) without rowid;
    create table conflict (
        identity blob not null, digest blob not null, seq integer not null, expires_day integer not null,
        primary key (identity, digest)
    ) without rowid;

    create view arrival (seq, received_us, identity, head, body) as select null, null, null, null, null where false;
    create trigger arrive instead of insert on arrival begin
        select raise(abort, 'known') from id where identity = new.identity;
        insert into event (seq, received_us, head, body) values (new.seq, new.received_us, new.head, new.body);
    end;

    create table follower (router text primary key, seq integer not null, moved_us integer not null) without rowid;
    create table gap (
        router text not null, from_seq integer not null, to_seq integer not null, events integer not null,
        at_us integer not null, primary key (router, from_seq)
    ) without rowid;
    """,
)
