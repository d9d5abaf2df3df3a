import pytest

from gateway.core.objects import FetchOptions, Final, ObjectApi, ObjectPath, Objects, is_final
from gateway.core.outgoing import Answer, NotFoundError, OutgoingError, retry_after
from gateway.providers import object_apis
from gateway.testing import make_event

CREDENTIAL = "key_never_to_be_seen"
API = ObjectApi(
    hosts=("api.example.com", "eu.example.com"),
    objects=(
        ObjectPath(url="{json:link}", when="json:link"),
        ObjectPath(url="/v1/orders/{json:order}/lines/{json:line}", when="json:kind", fits="line.*"),
        ObjectPath(url="/v1/orders/{json:order}", when="json:order"),
    ),
)


def objects(api: ObjectApi = API, **options) -> Objects:
    return Objects(api, FetchOptions(**{"credential": CREDENTIAL, **options}))


def url_of(body, api: ObjectApi = API, **options) -> str:
    return objects(api, **options).named_by(make_event(body=body))[0].url


def form(text: str):
    return make_event(body=text.encode(), content_type="application/x-www-form-urlencoded")


def test_the_first_path_that_applies_says_where_the_object_is():
    assert url_of({"order": 7}) == "https://api.example.com/v1/orders/7"
    assert url_of({"order": 7, "line": "a", "kind": "line.added"}) == "https://api.example.com/v1/orders/7/lines/a"


def test_a_path_that_lacks_a_value_is_passed_over():
    assert url_of({"order": 7, "kind": "line.added"}) == "https://api.example.com/v1/orders/7"


def test_an_event_that_names_nothing_is_told():
    with pytest.raises(NotFoundError) as caught:
        url_of({"other": 1})

    assert caught.value.status == 0


@pytest.mark.parametrize(
    "value, sent",
    [
        ("a/b", "a%2Fb"),
        ("a?admin=1", "a%3Fadmin%3D1"),
        ("a#b", "a%23b"),
        ("a b\r\n", "a%20b%0D%0A"),
        ("ü", "%C3%BC"),
        ("%2e%2e", "%252e%252e"),
        ("@evil.example", "%40evil.example"),
    ],
)
def test_a_value_of_the_event_stays_in_its_place(value, sent):
    assert url_of({"order": value}) == f"https://api.example.com/v1/orders/{sent}"


@pytest.mark.parametrize("value", ["..", ".", "../customers", "..\\x/..", "a/../../b"])
def test_a_value_that_would_lead_out_of_its_place_is_refused(value):
    with pytest.raises(OutgoingError, match="no path and no plain https URL"):
        url_of({"order": value})


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/",
        "https://api.example.com.evil.example/",
        "https://api.example.com@evil.example/",
        "https://evil.example/api.example.com",
        "https://api.example.com:8443/",
        "http://api.example.com/",
        "//evil.example/",
        "https:api.example.com/",
        "ftp://api.example.com/",
        "https://api.example.com\\@evil.example/",
        "https://169.254.169.254/",
        "https://api.example.com/a#b",
        "api.example.com/",
        "https://[::1/",
    ],
)
def test_a_url_in_the_event_must_be_of_a_listed_host(link):
    with pytest.raises(OutgoingError) as caught:
        url_of({"link": link})

    assert "evil" not in str(caught.value)


@pytest.mark.parametrize(
    "link, url",
    [
        ("https://eu.example.com/v1/x?y=1", "https://eu.example.com/v1/x?y=1"),
        ("https://API.example.com/x", "https://API.example.com/x"),
        ("/v1/x", "https://api.example.com/v1/x"),
    ],
)
def test_a_url_of_a_listed_host_is_taken_as_it_is(link, url):
    assert url_of({"link": link}) == url


def test_hosts_of_the_operator_take_the_place_of_the_providers():
    assert url_of({"order": 1}, hosts=["git.internal:8443"]) == "https://git.internal:8443/v1/orders/1"
    with pytest.raises(OutgoingError):
        url_of({"link": "https://api.example.com/x"}, hosts=["git.internal:8443"])


def test_plain_http_is_for_private_hosts():
    url = "http://git.internal/x"

    assert url_of({"link": url}, hosts=["git.internal"], private=True) == url
    with pytest.raises(OutgoingError):
        url_of({"link": url}, hosts=["git.internal"])


@pytest.mark.parametrize(
    "send, header, value",
    [
        ("bearer", "authorization", f"Bearer {CREDENTIAL}"),
        ("basic", "authorization", "Basic a2V5X25ldmVyX3RvX2JlX3NlZW46"),
        ("header:X-Token", "x-token", CREDENTIAL),
    ],
)
def test_the_credential_is_sent_as_the_api_wants_it(send, header, value):
    ask, _ = objects(send=send).named_by(make_event(body={"order": 1}))

    assert ask.headers[header] == value
    assert CREDENTIAL not in repr(ask)


def test_a_name_and_password_are_sent_as_they_are():
    ask, _ = objects(send="basic", credential="user:pass").named_by(make_event(body={"order": 1}))

    assert ask.headers["authorization"] == "Basic dXNlcjpwYXNz"


def test_the_options_do_not_show_the_credential():
    assert CREDENTIAL not in repr(FetchOptions(credential=CREDENTIAL))


def test_headers_are_filled_from_the_event_and_the_operators_win():
    api = ObjectApi(hosts=("api.example.com",), headers={"x-account": "json:account", "x-version": "'1'"})
    asked = objects(api, headers={"X-Version": "2 | 3"}).at(make_event(body={"account": "a_1"}), "/x")

    assert (asked.headers["x-account"], asked.headers["x-version"]) == ("a_1", "2 | 3")
    assert "x-account" not in objects(api).at(make_event(), "/x").headers


@pytest.mark.parametrize(
    "options, key",
    [
        ({"hosts": ["https://api.example.com"]}, "hosts"),
        ({"send": "digest"}, "send"),
        ({"send": "header:"}, "send"),
        ({"credential": "a\nb"}, "credential"),
        ({"url": "v1/x"}, "object"),
        ({"url": "/v1/{root:a}"}, "object"),
        ({"url": "http://api.example.com/{json:a}"}, "object"),
    ],
)
def test_a_wrong_option_is_named(options, key):
    with pytest.raises(ValueError, match=rf"^{key}: "):
        objects(**options)


def test_an_api_without_hosts_needs_them_from_the_operator():
    with pytest.raises(ValueError, match=r"^hosts: is needed"):
        objects(ObjectApi())


def test_the_operator_may_say_where_the_object_is_and_when_it_may_be_used():
    final = Final(path="state", values=("done",))
    ask, wanted = objects(url="/x/{json:a}", final=final).named_by(make_event(body={"a": 1}))

    assert (ask.url, wanted) == ("https://api.example.com/x/1", final)


@pytest.mark.parametrize(
    "body, expected",
    [(b'{"a":{"b":"paid"}}', True), (b'{"a":{"b":"open"}}', False), (b'{"a":1}', False), (b"[]", False), (b"<", False)],
)
def test_an_object_is_final_by_one_value(body, expected):
    assert is_final(Final(path="a.b", values=("paid", "failed")), Answer(200, {}, body)) is expected


@pytest.mark.parametrize(
    "body, path",
    [
        (
            {"object": "v2.core.event", "id": "e", "related_object": {"url": "/v1/billing/meters/m"}},
            "/v1/billing/meters/m",
        ),
        ({"object": "v2.core.event", "id": "evt_1"}, "/v2/core/events/evt_1"),
        ({"object": "event", "data": {"object": {"object": "invoice", "id": "in_1"}}}, "/v1/invoices/in_1"),
        ({"data": {"object": {"object": "checkout.session", "id": "cs_1"}}}, "/v1/checkout/sessions/cs_1"),
    ],
)
def test_stripe_objects(body, path):
    assert url_of(body, object_apis.STRIPE) == f"https://api.stripe.com{path}"


def test_stripe_asks_in_the_name_of_the_connected_account():
    body = {
        "account": "acct_1",
        "api_version": "2025-01-27.acacia",
        "data": {"object": {"object": "charge", "id": "c"}},
    }
    headers = objects(object_apis.STRIPE).named_by(make_event(body=body))[0].headers

    assert (headers["stripe-account"], headers["stripe-version"]) == ("acct_1", "2025-01-27.acacia")


@pytest.mark.parametrize(
    "ping, path", [("id=tr_1", "payments/tr_1"), ("id=ord_1", "orders/ord_1"), ("id=pl_1", "payment-links/pl_1")]
)
def test_mollie_objects(ping, path):
    assert objects(object_apis.MOLLIE).named_by(form(ping))[0].url == f"https://api.mollie.com/v2/{path}"


def test_a_forged_mollie_ping_reaches_no_other_place():
    with pytest.raises(OutgoingError):
        objects(object_apis.MOLLIE).named_by(form("id=tr_/../../organizations/me"))


def test_github_objects_are_of_github_alone():
    url = "https://api.github.com/repos/a/b/pulls/1"

    assert url_of({"pull_request": {"url": url}, "repository": {"url": "x"}}, object_apis.GITHUB) == url
    with pytest.raises(OutgoingError):
        url_of({"pull_request": {"url": "https://evil.example/"}}, object_apis.GITHUB)


@pytest.mark.parametrize(
    "api, options, body, url",
    [
        (
            object_apis.CHARGEBEE,
            {"hosts": ["a.chargebee.com"]},
            {"id": "ev_1"},
            "https://a.chargebee.com/api/v2/events/ev_1",
        ),
        (
            object_apis.AIRTABLE,
            {},
            {"base": {"id": "app1"}, "webhook": {"id": "ach1"}},
            "https://api.airtable.com/v0/bases/app1/webhooks/ach1/payloads",
        ),
        (object_apis.MOLLIE_EVENTS, {}, {"entityId": "pl_1"}, "https://api.mollie.com/v2/payment-links/pl_1"),
        (object_apis.MOLLIE_EVENTS, {}, {"id": "event_1"}, "https://api.mollie.com/v2/events/event_1"),
        (object_apis.NOTION, {}, {"entity": {"id": "p1", "type": "page"}}, "https://api.notion.com/v1/pages/p1"),
        (
            object_apis.ASANA,
            {},
            {"resource": {"gid": "1", "resource_type": "story"}},
            "https://app.asana.com/api/1.0/stories/1",
        ),
    ],
)
def test_objects_of_other_providers(api, options, body, url):
    assert url_of(body, api, **options) == url


@pytest.mark.parametrize(
    "said, seconds",
    [
        ("30", 30.0),
        ("0", 0.0),
        (" 5 ", 5.0),
        ("999999999999", 86400.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:27:00 GMT", 0.0),
        ("Wed, 21 Oct 2099 07:28:00 GMT", 86400.0),
        ("-1", None),
        ("soon", None),
        ("Wed, 21 Oct 99999999999 07:28:00 GMT", None),
        ("", None),
        ("٣", None),
    ],
)
def test_how_long_an_answer_asks_to_wait(said, seconds):
    assert retry_after({"retry-after": said}, 1_445_412_480_000_000) == seconds
