"""The dashboard and the alerts: current, complete, and asking for what there is."""

import re

import pytest
from ruamel.yaml import YAML

from deploy.grafana import build
from gateway.admin.metrics import BY_NAME
from tests.dashboard import DEPLOY, alerts, family_of, metrics_asked_for, panels, questions, series_of

QUESTIONS = questions()
PANELS = panels()
ALERTS = alerts()
LABELS_OF_SCRAPE = {"job", "instance", "le"}

every_question = pytest.mark.parametrize("promql", QUESTIONS.values(), ids=list(QUESTIONS))
every_panel = pytest.mark.parametrize("panel", PANELS, ids=[str(panel["id"]) for panel in PANELS])
every_alert = pytest.mark.parametrize("alert", ALERTS, ids=[alert["alert"] for alert in ALERTS])


def test_the_committed_dashboard_is_current() -> None:
    assert build.FILE.read_text() == build.text(), "run `make docs`"


@every_question
def test_a_question_is_promql(promql) -> None:
    assert series_of(promql)


def test_everything_asked_for_is_in_the_closed_list() -> None:
    assert metrics_asked_for() <= BY_NAME.keys()


def test_everything_in_the_closed_list_is_shown_somewhere() -> None:
    assert BY_NAME.keys() <= metrics_asked_for()


@every_question
def test_labels_asked_for_are_those_of_the_metric(promql) -> None:
    known = {label for name in series_of(promql) - {"up"} for label in BY_NAME[family_of(name)].labels}

    asked = set(re.findall(r"(\w+)(?:=~|!=|=)\"", promql))
    asked |= {label.strip() for group in re.findall(r"by \(([^)]*)\)", promql) for label in group.split(",")}
    assert asked <= known | LABELS_OF_SCRAPE


@every_panel
def test_a_panel_tells_what_it_shows(panel) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"]["uid"] == "${datasource}"


@every_panel
def test_a_panel_asks_by_job_and_instance_over_the_interval_of_the_scrape(panel) -> None:
    for target in panel["targets"]:
        assert 'job=~"$job",instance=~"$instance"' in target["expr"]
        assert not re.search(r"rate\([^[]*\[(?!\$__rate_interval)", target["expr"])


def test_panels_do_not_overlap_and_ids_are_unique() -> None:
    taken = [
        (panel["gridPos"]["x"] + x, panel["gridPos"]["y"] + y)
        for panel in PANELS
        for x in range(panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["h"])
    ]

    assert len(set(taken)) == len(taken)
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_the_dashboard_can_be_provisioned() -> None:
    dashboard = build.dashboard()

    assert dashboard["uid"] == "webhook-gateway"
    assert dashboard["editable"] is False
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == [
        "datasource",
        "job",
        "instance",
        "source",
        "router",
    ]
    rows = [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"]
    assert rows[0] == "Summary"
    assert len(rows) == 7


@every_alert
def test_an_alert_says_what_is_wrong_and_what_to_do(alert) -> None:
    assert alert["annotations"]["summary"].endswith(".")
    assert alert["annotations"]["action"].endswith(".")
    assert alert["labels"]["severity"] in {"page", "warn", "info"}


@every_alert
def test_an_alert_names_only_labels_that_its_question_keeps(alert) -> None:
    texts = " ".join(alert["annotations"].values())
    named = set(re.findall(r"\$labels\.(\w+)", texts))
    groups = re.findall(r"by \(([^)]*)\)", alert["expr"])

    known = {label for name in series_of(alert["expr"]) - {"up"} for label in BY_NAME[family_of(name)].labels}
    kept = set.intersection(*({label.strip() for label in group.split(",")} for group in groups)) if groups else known
    assert named <= kept | {"instance"}


def test_alerts_are_named_once() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)


@pytest.mark.parametrize(
    "path", [path for path in sorted(DEPLOY.rglob("*.y*ml")) if "helm" not in path.parts], ids=lambda path: path.name
)
def test_a_deployed_file_is_yaml(path) -> None:
    assert YAML(typ="safe").load(path.read_text())
