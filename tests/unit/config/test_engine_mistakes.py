"""What is wrong with a log on Kafka or a store on Postgres: said where, in which words, and without the secret."""

import pytest

from tests.configuration import KAFKA, KAFKA_ENVIRON, problems

BROKERS = '[k1:9092, "[::1]:9093"]'
# Two names whose CRC-32 are equal.
ALIKE = ("vysgbe5", "vtabmrs")
BROKER = 'must be a host and its port; write one such as "kafka-1.internal:9092"'
MECHANISMS = "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
WITHOUT = "write store: {engine: postgres, dsn: {env: DATABASE_URL}}"
STORE = "store:\n  engine: postgres\n  dsn: {env: DATABASE_URL}\n"

# Each row: what is replaced in the valid configuration, by what, and all that must be said of it.
MISTAKES = [
    ("engine: kafka", "engine: kafkaa", ['2:11: log.engine: is none of the known words; did you mean "kafka"?']),
    ("engine: kafka", "engine: nats", ["2:11: log.engine: is none of the known words; known: kafka, sqlite"]),
    ("engine: kafka", "engine: [kafka]", ["2:11: log.engine: is none of the known words; known: kafka, sqlite"]),
    (
        "engine: postgres",
        "engine: postgre",
        ['13:11: store.engine: is none of the known words; did you mean "postgres"?'],
    ),
    (f"  bootstrap: {BROKERS}\n", "", ["1:1: log: bootstrap is missing; write bootstrap: [HOST:PORT]"]),
    ("bootstrap:", "bootstrp:", ['3:3: log.bootstrp: unknown key; did you mean "bootstrap"?']),
    (BROKERS, "[]", ["3:14: log.bootstrap: is empty; list at least one"]),
    (BROKERS, "k1", [f"3:14: log.bootstrap[0]: {BROKER}"]),
    (BROKERS, "[k1:9092, k2:]", [f"3:24: log.bootstrap[1]: {BROKER}"]),
    (BROKERS, "[k1:0]", [f"3:15: log.bootstrap[0]: {BROKER}"]),
    (BROKERS, "[k1:70000]", [f"3:15: log.bootstrap[0]: {BROKER}"]),
    (BROKERS, '["kafka://k1:9092"]', [f"3:15: log.bootstrap[0]: {BROKER}"]),
    (BROKERS, '["::1:9092"]', [f"3:15: log.bootstrap[0]: {BROKER}"]),
    (BROKERS, "9092", ["3:14: log.bootstrap: must be a list; write [one, two]"]),
    (
        "prefix: hooks",
        "prefix: hooks/a",
        [
            (
                "4:11: log.prefix: makes no name of a topic; "
                "use letters, digits, hyphens, underscores, and dots between them"
            )
        ],
    ),
    (
        "prefix: hooks",
        f"prefix: {'h' * 236}",
        ["4:11: log.prefix: makes names of topics longer than 249 characters; shorten it"],
    ),
    (
        STORE,
        "",
        [f"2:11: log.engine: on Kafka the marks must be where every worker sees them; {WITHOUT}"],
    ),
    (
        STORE,
        "store: {engine: sqlite}\n",
        [f"12:17: store.engine: on Kafka the marks must be where every worker sees them; {WITHOUT}"],
    ),
    (
        "  engine: postgres\n",
        "",
        [
            f"2:11: log.engine: on Kafka the marks must be where every worker sees them; {WITHOUT}",
            "13:3: store.dsn: is for engine postgres alone; remove it, or write engine: postgres",
        ],
    ),
    ("  dsn: {env: DATABASE_URL}\n", "", ["12:1: store: dsn is missing; write dsn: {env: DATABASE_URL}"]),
    (
        "dsn: {env: DATABASE_URL}",
        "dsn: {evn: DATABASE_URL}",
        ["14:8: store.dsn: must be a text from elsewhere; write {env: NAME} or {file: PATH}"],
    ),
    (
        "dsn: {env: DATABASE_URL}",
        "dsn: {env: NOT_SET}",
        ["14:8: store.dsn: environment variable NOT_SET is not set; set it where the gateway is started"],
    ),
    (
        "dsn: {env: DATABASE_URL}",
        "dsn: db/hooks",
        [
            (
                "14:8: store.dsn: is no address of a Postgres database; "
                "write one such as postgresql://user:password@host/database"
            )
        ],
    ),
    (
        "engine: postgres",
        "engine: postgres\n  connections: 1",
        ["14:16: store.connections: must be 2 or more"],
    ),
    (
        "engine: postgres",
        "engine: postgres\n  marks: 20d",
        ["14:10: store.marks: shorter than log.retention and the longest dedupe window together; write at least 47d"],
    ),
    ("spool: var/spool", "spool: ./var", ["11:10: log.spool: is log.path itself; name a folder of its own"]),
    (
        "spool: var/spool",
        "max_bytes: 1GiB\n  min_free: 1MiB",
        [
            "11:14: log.max_bytes: is for the disk of a spool, and there is none; remove it, or add spool: FOLDER",
            "12:13: log.min_free: is for the disk of a spool, and there is none; remove it, or add spool: FOLDER",
        ],
    ),
    ("partitions: 6", "partitions: 70000", ["10:24: log.topics.partitions: must be 65536 or less"]),
    ("partitions: 6", "partition: 6", ['10:12: log.topics.partition: unknown key; did you mean "partitions"?']),
    (
        "partitions: 6",
        "replication: 1",
        ["10:11: log.topics.min_insync: is more copies than topics.replication makes; write at most 1"],
    ),
    ("spool:", "dedupe: {max_ids: 0} #", ["11:21: log.dedupe.max_ids: must be 1 or more"]),
    (
        "tls: true",
        "ca: ca.pem",
        ["6:9: log.security.ca: is for an encrypted connection; write tls: true, or remove it"],
    ),
    (
        "tls: true",
        "tls: true\n    cert: c.pem",
        ["7:11: log.security.cert: is given without its key; add key: and the PEM file of the private key"],
    ),
    (
        "tls: true",
        "tls: true\n    key: k.pem",
        ["7:10: log.security.key: is given without its certificate; add cert: and the PEM file of the chain"],
    ),
    (
        "mechanism: SCRAM-SHA-512",
        "mechanism: SCRAM",
        [
            (
                "7:16: log.security.mechanism: is none of the known words; "
                "known: OAUTHBEARER, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"
            )
        ],
    ),
    (
        "    mechanism: SCRAM-SHA-512\n",
        "",
        [
            f"7:15: log.security.username: is given without a mechanism; write mechanism: and one of {MECHANISMS}",
            f"8:15: log.security.password: is given without a mechanism; write mechanism: and one of {MECHANISMS}",
        ],
    ),
    ("    username: gw\n", "", ["7:16: log.security.mechanism: needs a username; add username: NAME"]),
    (
        "    password: {env: KAFKA_PASSWORD}\n",
        "",
        ["7:16: log.security.mechanism: needs a password; add password: {env: KAFKA_PASSWORD}"],
    ),
    (
        "{env: KAFKA_PASSWORD}",
        "{env: NOT_SET}",
        ["9:15: log.security.password: environment variable NOT_SET is not set; set it where the gateway is started"],
    ),
    (
        "{env: KAFKA_PASSWORD}",
        "12345",
        ["9:15: log.security.password: must be a text from elsewhere; write {env: NAME} or {file: PATH}"],
    ),
    (
        "mechanism: SCRAM-SHA-512",
        "mechanism: OAUTHBEARER",
        [
            (
                "7:16: log.security.mechanism: needs to know where its tokens come from; "
                "add oauth: {token_url: URL, client_id: NAME, client_secret: {env: NAME}}"
            ),
            "8:15: log.security.username: is not for OAUTHBEARER; remove it; oauth: has what it needs",
            "9:15: log.security.password: is not for OAUTHBEARER; remove it; oauth: has what it needs",
        ],
    ),
    (
        "tls: true",
        'tls: true\n    oauth: {token_url: "https://l.example/", client_id: a, client_secret: {env: KAFKA_PASSWORD}}',
        ["7:12: log.security.oauth: is for OAUTHBEARER; write mechanism: OAUTHBEARER, or remove it"],
    ),
    (
        "tls: true",
        'tls: true\n    oauth: {token_url: "http://l.example/", client_id: a, client_secret: {env: KAFKA_PASSWORD}}',
        [
            "7:24: log.security.oauth.token_url: would send the client's secret unencrypted; write https://",
        ],
    ),
]


@pytest.mark.parametrize("old, new, expected", MISTAKES, ids=[repr(new)[:60] for _, new, _ in MISTAKES])
def test_a_mistake_is_placed_and_has_a_remedy_and_nothing_else_is_said(tmp_path, old, new, expected):
    assert old in KAFKA

    assert problems(tmp_path, KAFKA.replace(old, new), KAFKA_ENVIRON) == expected


def test_two_sources_whose_partitions_would_have_the_same_numbers_are_refused_on_kafka_alone(tmp_path):
    text = KAFKA.replace("stripe:", f"{ALIKE[0]}:").replace("github:", f"{ALIKE[1]}:")
    log = text[: text.index("sources:")]

    (found,) = problems(tmp_path, text, KAFKA_ENVIRON)

    assert found == (
        f"17:3: sources.{ALIKE[1]}: cannot stand beside {ALIKE[0]} on Kafka: "
        "their partitions would have the same numbers; rename one of the two"
    )
    assert problems(tmp_path, text.removeprefix(log), KAFKA_ENVIRON) == []


CANARY = "cAnArY_51J"
PLACES = [
    ("password: {env: KAFKA_PASSWORD}", f"password: {CANARY}\n    mechanisn: x"),
    ("password: {env: KAFKA_PASSWORD}", f"password: {{{CANARY}: x}}"),
    ("password: {env: KAFKA_PASSWORD}", f"password:\n      {CANARY}:"),
    ("password: {env: KAFKA_PASSWORD}", f"password: [{CANARY}]"),
    ("password: {env: KAFKA_PASSWORD}", f"password: {{env: {CANARY}}}"),
    ("password: {env: KAFKA_PASSWORD}", f"password: {{file: {CANARY}}}"),
    ("password: {env: KAFKA_PASSWORD}", f"password: *{CANARY}"),
    ("dsn: {env: DATABASE_URL}", f"dsn: postgresql//u:{CANARY}@h/d"),
    ("dsn: {env: DATABASE_URL}", f"dsn: postgresql://u:{CANARY}@h/d?{CANARY}=1"),
    ("dsn: {env: DATABASE_URL}", f"dsn: 'host=h password={CANARY} {CANARY}'"),
    ("dsn: {env: DATABASE_URL}", f"dsn: {{host: h, {CANARY}: x}}"),
    ("dsn: {env: DATABASE_URL}", f"dsn:\n    {CANARY}:"),
    (BROKERS, f"['u:{CANARY}@k1:9092']"),
    ("mechanism: SCRAM-SHA-512", f"mechanism: {CANARY}"),
    ("engine: kafka", f"engine: {CANARY}"),
    ("engine: postgres", f"engine: {CANARY}"),
    ("tls: true", f'oauth: {{token_url: "https://u:{CANARY}@l.example"}}'),
]


@pytest.mark.parametrize("old, new", PLACES, ids=[new for _, new in PLACES])
def test_no_value_is_ever_quoted(tmp_path, old, new):
    assert old in KAFKA
    found = problems(tmp_path, KAFKA.replace(old, new), KAFKA_ENVIRON)

    assert found
    assert CANARY not in "\n".join(found)
