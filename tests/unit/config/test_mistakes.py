import pytest

from gateway.config.load import load
from gateway.config.problems import ConfigProblems, did_you_mean, key_text
from tests.configuration import ENVIRON, VALID, problems

LATE = "is longer than dedupe_window, so that an event could be stored twice; keep deliveries no longer than ids"
# Each row: what is replaced in the valid configuration, by what, and what must be said of it.
MISTAKES = [
    (
        "provider: stripe",
        "provider: stripe\n    dedupe_window: 2d\n    quarantine: {max_age: 3d}",
        "13:27: sources.stripe.quarantine.max_age: " + LATE,
    ),
    (
        "provider: stripe",
        "provider: stripe\n    dedupe_window: 2d\n    quarantine: {}",
        "13:17: sources.stripe.quarantine.max_age: " + LATE,
    ),
    ("port: 8080", "prot: 8080", '3:3: server.prot: unknown key; did you mean "port"?'),
    ("port: 8080", "port: eighty", "3:9: server.port: must be a whole number"),
    ("port: 8080", "port: 70000", "3:9: server.port: must be 65535 or less"),
    ("port: 8080", "port: -1", "3:9: server.port: must be 0 or more"),
    ("port: 8080", "port:", "3:3: server.port: has no value; give one, or remove the key"),
    ("port: 8080", "port: true", "3:9: server.port: must be a whole number"),
    (
        "port: 8080",
        "admin_port: 8080",
        "3:15: server.admin_port: is the public port too; give the admin port a number of its own",
    ),
    (
        "port: 8080",
        "port: {env: NOT_SET}",
        "3:9: server.port: environment variable NOT_SET is not set; set it where the gateway is started",
    ),
    ("port: 8080", "port: {env: A, file: B}", "3:9: server.port: has both env and file; keep one of the two"),
    ("port: 8080", "port: 8080\n  port: 8081", "4:3: server.port: is already set on line 3; remove one of the two"),
    (
        "port: 8080",
        "port: !!python/name:os.system x",
        "3:9: server.port: a tag (!) is not supported; put a text that begins with ! in quotes",
    ),
    (
        "port: 8080",
        "port: &a 8080",
        "3:9: server.port: an anchor (&) or alias (*) is not supported; write the value out",
    ),
    ("port: 8080", "<<: {port: 1}", "3:3: server: a merge key (<<) is not supported; write the keys out"),
    (
        "port: 8080",
        "workers: 4",
        "3:3: server.workers: this version does not know it yet; remove it, and start `gateway serve --workers N`",
    ),
    ("host: 127.0.0.1", 'host: ""', "2:9: server.host: is empty; give a value, or remove the key"),
    (
        "port: 8080",
        "public_url: hooks.example.com",
        (
            "3:15: server.public_url: must be the URL senders use, without query or password; "
            'such as "https://hooks.example.com"'
        ),
    ),
    (
        "port: 8080",
        "trusted_proxies: [10.0.0.0/8, nowhere]",
        (
            "3:33: server.trusted_proxies[1]: must be an address or a network; "
            'write one such as "10.0.0.0/8" or "2001:db8::1"'
        ),
    ),
    ("port: 8080", "trusted_proxies: 10.0.0.0/8", "3:20: server.trusted_proxies: must be a list; write [one, two]"),
    ("port: 8080", "tls: {cert: x}", "3:3: server.tls: key is missing; add it"),
    (
        "retention: 14d",
        "retention: 14",
        '6:14: log.retention: must be a duration; write a number and its unit, such as "300s", "90m" or "14d"',
    ),
    (
        "retention: 14d",
        "max_bytes: 20G",
        '6:14: log.max_bytes: must be a size; write a whole number and its unit, such as "1MiB" or "20GiB"',
    ),
    ("retention: 14d", "engine: sqlit", '6:11: log.engine: is none of the known words; did you mean "sqlite"?'),
    ("marks: 90d", "engine: postgres", "7:1: store: dsn is missing; write dsn: {env: DATABASE_URL}"),
    (
        "retention: 14d",
        "bootstrap: [k1:9092]",
        "6:3: log.bootstrap: is for engine kafka alone; remove it, or write engine: kafka",
    ),
    (
        "marks: 90d",
        "dsn: {env: GITHUB_SECRET}",
        "8:3: store.dsn: is for engine postgres alone; remove it, or write engine: postgres",
    ),
    (
        "marks: 90d",
        "marks: 20d",
        "8:10: store.marks: shorter than log.retention and the longest dedupe window together; write at least 47d",
    ),
    ("provider: stripe", "provider: strpe", '11:15: sources.stripe.provider: unknown provider; did you mean "stripe"?'),
    ("provider: stripe", "provder: stripe", '11:5: sources.stripe.provder: unknown key; did you mean "provider"?'),
    (
        "- {env: STRIPE_SECRET}",
        "- whsec_canary",
        (
            "13:9: sources.stripe.secrets[0]: a secret is never written here; "
            "write {env: NAME} or {file: PATH}; {dev: TEXT} is for development on loopback"
        ),
    ),
    (
        "- {env: STRIPE_SECRET}",
        "- {env: canary lower}",
        "13:15: sources.stripe.secrets[0].env: has a wrong form; use letters, digits and _, first a letter",
    ),
    (
        "- {env: STRIPE_SECRET}",
        "- {label: a}",
        "13:9: sources.stripe.secrets[0]: names no secret; write {env: NAME} or {file: PATH}",
    ),
    (
        "- {env: STRIPE_SECRET}",
        "- {env: STRIPE_SECRET, file: x}",
        "13:9: sources.stripe.secrets[0]: has both env and file; list them as two secrets",
    ),
    (
        "- {env: STRIPE_SECRET}",
        "- {evn: STRIPE_SECRET, env: STRIPE_SECRET}",
        '13:10: sources.stripe.secrets[0].?: unknown key; did you mean "env"?',
    ),
    (
        "- {env: STRIPE_SECRET}",
        "- {env: STRIPE_SECRET, default: x}",
        (
            "13:30: sources.stripe.secrets[0].?: unknown key; a secret has no default; "
            "`dev` is for a development secret, on loopback"
        ),
    ),
    (
        "- {env: STRIPE_SECRET}",
        "- {file: /nonexistent/canary}",
        (
            "13:9: sources.stripe.secrets[0]: the file cannot be read (No such file or directory); "
            "check its path and who may read it"
        ),
    ),
    (
        "- {env: STRIPE_SECRET}",
        "- {env: STRIPE_SECRET}\n      - {env: STRIPE_SECRET}",
        "14:9: sources.stripe.secrets[1]: has the label of another secret of this source; give each a label of its own",
    ),
    ("label: new", "label: dev", '17:9: sources.github.secrets[0]: may not be labelled "dev"; choose another label'),
    (
        "label: new",
        "label: paired",
        "17:9: sources.github.secrets[0]: has the label of secrets that come at run time; choose another label",
    ),
    (
        "  github:\n",
        "  Git_Hub:\n",
        (
            "14:3: sources.Git_Hub: is no valid name; "
            "use lower-case letters, digits and hyphens, at most 63, first a letter or digit"
        ),
    ),
    (
        "order_by:",
        "on_conflict: ded #",
        '18:18: sources.github.on_conflict: is none of the known words; did you mean "dead"?',
    ),
    (
        "order_by:",
        "require: [push] #",
        "18:14: sources.github.require: must be a mapping; write event types with their schemas, or provider",
    ),
    ("order_by:", "scheme: {} #", "18:5: sources.github.scheme: is for provider custom alone; remove it"),
    (
        "order_by:",
        "rate: 5 #",
        '18:11: sources.github.rate: must be a rate; write a number and its unit of time, such as "100/s" or "600/m"',
    ),
    ("order_by:", "rate: 0/s #", "18:11: sources.github.rate: must be more than 0; remove the key for no limit"),
    ("order_by:", "deadline: 0s #", "18:15: sources.github.deadline: must be more than 0; write a longer time"),
    (
        'use: "handlers.billing:router"',
        "concurrency: 1",
        '27:3: routers.billing: use is missing; write use: "package.module:attribute"',
    ),
    (
        'use: "handlers.billing:router"',
        'use: "a b"',
        (
            "28:10: routers.billing.use: names no router; "
            'write "package.module:attribute", or the name of an installed one'
        ),
    ),
    ("routers:\n", "routes:\n", '26:1: routes: unknown key; did you mean "routers"?'),
]


@pytest.mark.parametrize("old, new, expected", MISTAKES, ids=[new.strip() for _, new, _ in MISTAKES])
def test_a_mistake_is_placed_and_has_a_remedy(tmp_path, old, new, expected):
    assert old in VALID

    found = problems(tmp_path, VALID.replace(old, new))

    assert found == [expected]


TEXTS = [
    ("", "is empty; `gateway init` writes an example; it needs at least `sources:`"),
    ("# nothing\n", "is empty; `gateway init` writes an example; it needs at least `sources:`"),
    ("- a\n", "1:1: must be a mapping; begin with `sources:`"),
    ("sources\n", "1:1: must be a mapping; begin with `sources:`"),
    ("a: 1\n\tb: 2\n", "2:1: a tab in the indentation; indent with spaces"),
    ("a:\n  b: 1\n c: 2\n", "3:2: wrong indentation; let the keys of one mapping begin in the same column"),
    ("a: [1, 2\nb: 3\n", "2:2: a bracket that is not closed; close the [ or { that begins before here"),
    ("a: 'canary\n", "2:1: a quoted text that is not closed; close the quotes"),
    ("a: *canary\n", "1:4: an alias (*) is not supported; put a text that begins with * in quotes"),
    ("a: 1\n---\nb: 2\n", "2:1: a second document; remove the line ---"),
    ("%YAML 1.1\n---\na: yes\n", "1:1: a YAML directive is not supported; remove the line that begins with %"),
    ("a: b: c\n", "1:5: a ':' that does not fit here; check the indentation, or put the text in quotes"),
    ("a: @canary\n", "1:4: a character that begins no value; put the text in quotes"),
    ("a: x\x01\n", "1:1: a control character; remove it"),
    ("sources: 5\n", "1:10: sources: must be a mapping; write key: value below it"),
    ("sources: {a: 5}\n", "1:14: sources.a: must be a mapping; write key: value below it"),
    (
        "sources: {a: {provider: github, secrets: []}}\n",
        "1:42: sources.a.secrets: at least one is needed; configure the webhook's secret as typed in its settings",
    ),
]


@pytest.mark.parametrize("text, expected", TEXTS, ids=[repr(text) for text, _ in TEXTS])
def test_a_text_that_is_no_configuration_says_where_and_what_to_do(tmp_path, text, expected):
    assert problems(tmp_path, text) == [expected]


def test_bytes_that_are_no_text_are_placed(tmp_path):
    path = tmp_path / "gateway.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")

    with pytest.raises(ConfigProblems) as caught:
        load(path, {})

    assert str(caught.value) == f"{path}:2:1: not UTF-8; save the file as UTF-8"


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path):
    text = VALID
    for old, new in (
        ("port: 8080", "prot: 8080"),
        ("retention: 14d", "retention: 14"),
        ("provider: stripe", "provider: strpe\n    tolerence: 300s"),
        ("- {env: STRIPE_SECRET}", "- GONE"),
        ("order_by:", "on_replay: maybe #"),
        ('prefix: "sha256="', 'prefx: "sha256="'),
        ("use:", "uses:"),
    ):
        text = text.replace(old, new)

    found = problems(tmp_path, text)

    assert [line.split(": ")[1] for line in found] == [
        "server.prot",
        "log.retention",
        "sources.stripe.provider",
        "sources.stripe.tolerence",
        "sources.stripe.secrets[0]",
        "sources.github.on_replay",
        "sources.acme.scheme.signature.prefx",
        "routers.billing.uses",
    ]


@pytest.mark.parametrize(
    "line, place",
    [
        pytest.param("host: 0.0.0.0", "server.host", id="all addresses"),
        pytest.param("host: gateway.internal", "server.host", id="a name"),
        pytest.param("host: 127.0.0.1\n  public_url: https://h.example", "public_url", id="a public URL"),
    ],
)
def test_a_development_secret_refuses_to_start_beyond_loopback(tmp_path, line, place):
    (found,) = problems(tmp_path, VALID.replace("host: 127.0.0.1", line))

    assert f"sources.acme.secrets[0]: a development secret works on loopback only, and {place} is not" in found


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", '"::1"'])
def test_a_development_secret_works_on_loopback(tmp_path, host):
    assert problems(tmp_path, VALID.replace("host: 127.0.0.1", f"host: {host}")) == []


def test_a_real_secret_lifts_the_limit_to_loopback(tmp_path):
    text = VALID.replace("127.0.0.1", "0.0.0.0").replace("{dev: canary-acme}", "{env: ACME, dev: canary-acme}")

    assert problems(tmp_path, text, {**ENVIRON, "ACME": "real"}) == []


CANARY = "sk_cAnArY_51J"
PLACES = [
    ("- {env: STRIPE_SECRET}", f"- {CANARY}"),
    ("- {env: STRIPE_SECRET}", f"- {CANARY}: x"),
    ("- {env: STRIPE_SECRET}", f"{CANARY}:"),
    ("- {env: STRIPE_SECRET}", f"- {{env: {CANARY}}}"),
    ("- {env: STRIPE_SECRET}", f"- {{file: {CANARY}}}"),
    ("- {env: STRIPE_SECRET}", f"- {{env: STRIPE_SECRET, label: '{CANARY} x'}}"),
    ("- {env: STRIPE_SECRET}", f"- {{dev: [{CANARY}]}}"),
    ("- {env: STRIPE_SECRET}", f"- *{CANARY}"),
    ("- {env: STRIPE_SECRET}", f"- !{CANARY} x"),
    ("- {env: STRIPE_SECRET}", f"- '{CANARY}"),
    ("- {env: STRIPE_SECRET}", f"- {CANARY}: x: y"),
    ("- {env: STRIPE_SECRET}", f"- {{{CANARY}: 1, {CANARY}: 2}}"),
    ("provider: stripe", f"provider: {CANARY}"),
    ("provider: stripe", f"provider: stripe\n    tolerance: {CANARY}"),
    ("provider: stripe", f"provider: stripe\n    on_conflict: {CANARY}"),
    ("provider: stripe", f"provider: stripe\n    order_by: {CANARY}"),
    ("port: 8080", f"port: {CANARY}"),
    ("port: 8080", f"public_url: https://user:{CANARY}@h.example"),
    ("use:", f"use: '{CANARY} x' #"),
]


@pytest.mark.parametrize("old, new", PLACES, ids=[new for _, new in PLACES])
def test_no_value_is_ever_quoted(tmp_path, old, new):
    found = problems(tmp_path, VALID.replace(old, new))

    assert found
    assert CANARY not in "\n".join(found)


@pytest.mark.parametrize("where", ["port", "drain", "max_buffered", "public_url", "host"])
def test_no_value_from_the_environment_is_ever_quoted(tmp_path, where):
    text = VALID.replace("port: 8080", f"{where}: {{env: X}}").replace("  host: 127.0.0.1\n", "")
    environ = {**ENVIRON, "X": f"{CANARY} :// "}

    assert CANARY not in "\n".join(problems(tmp_path, text, environ))


def test_keys_that_are_no_plain_words_are_not_quoted():
    assert key_text(("sources", "a\x1b[2J", "secrets", 0, "whsec_x")) == "sources.?.secrets[0].?"


def test_a_word_far_from_all_known_ones_lists_them():
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
