# ruff: noqa: INP001 - a folder of files to deploy, not a package
"""The rows of the dashboard: each panel's questions, with unit, title and description."""

from deploy.grafana.panels import HERE, ROUTER, SOURCE, UNAVAILABLE, Panel, Query, Row, quantile, rate, stat
from deploy.grafana.verifying import VERIFICATION

_DELIVERIES = "gateway_deliveries_total"
_ACK = "gateway_ack_duration_seconds"
_TURNED_AWAY = rate(_DELIVERIES, f'{SOURCE},reason=~"{UNAVAILABLE}"')

SUMMARY = Row(
    "Summary",
    [
        stat(
            "Processes up",
            "The least of all processes: 0 if one does not answer.",
            "short",
            f"min(gateway_up{{{HERE}}})",
            below=1,
        ),
        stat(
            "Accepted",
            "New events made durable and acknowledged.",
            "eps",
            rate(_DELIVERIES, f'{SOURCE},outcome="accepted"'),
        ),
        stat(
            "Duplicates",
            "Copies of events that are durable already, acknowledged again.",
            "eps",
            rate(_DELIVERIES, f'{SOURCE},outcome="duplicate"'),
        ),
        stat(
            "Refused",
            "Deliveries that were not acknowledged, for whatever reason.",
            "eps",
            rate(_DELIVERIES, f'{SOURCE},outcome="refused"'),
        ),
        stat(
            "Not turned away",
            "Share of deliveries that were not answered 503. The sender repeats those that were.",
            "percentunit",
            f"1 - {_TURNED_AWAY} / clamp_min({rate(_DELIVERIES, SOURCE)}, 1e-9)",
            below=0.999,
        ),
        stat(
            "Ack p99", "99 of 100 acknowledgements left within this time.", "s", quantile(0.99, _ACK, SOURCE), above=0.5
        ),
        stat(
            "Oldest unprocessed",
            "Age of the oldest event that a router has not finished.",
            "s",
            f"max(gateway_oldest_unprocessed_seconds{{{ROUTER}}})",
            above=300,
        ),
        stat(
            "Dead letters",
            "Runs that will not be tried again by themselves: `gateway dead list`.",
            "short",
            f"sum(gateway_dead_letters{{{ROUTER}}})",
            above=1,
        ),
    ],
)

INGEST = Row(
    "Ingest",
    [
        Panel(
            title="Deliveries by outcome",
            description="What became of each delivery.",
            unit="eps",
            queries=[Query(rate(_DELIVERIES, SOURCE, "outcome"), "{{outcome}}")],
            stack=True,
        ),
        Panel(
            title="Acknowledged by source",
            description="Deliveries acknowledged: accepted, duplicate or handshake.",
            unit="eps",
            queries=[Query(rate(_DELIVERIES, f'{SOURCE},outcome!="refused"', "source"), "{{source}}")],
            stack=True,
        ),
        Panel(
            title="Ack duration",
            description="From the request's first byte to its acknowledgement.",
            unit="s",
            queries=[
                Query(quantile(share, _ACK, SOURCE), name)
                for share, name in ((0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"))
            ],
        ),
        Panel(
            title="Ack p99 by source",
            description="99 of 100 acknowledgements of the source left within this time.",
            unit="s",
            queries=[Query(quantile(0.99, _ACK, SOURCE, "source"), "{{source}}")],
        ),
        Panel(
            title="Delivery size p99",
            description="Body size of acknowledged deliveries.",
            unit="bytes",
            queries=[Query(quantile(0.99, "gateway_delivery_bytes", SOURCE, "source"), "{{source}}")],
        ),
        Panel(
            title="Time since the last event",
            description="How long each source has been silent; nothing for a source silent since the start.",
            unit="s",
            queries=[
                Query(
                    f"time() - max by (source) (gateway_last_event_timestamp_seconds{{{SOURCE}}} > 0)",
                    "{{source}}",
                )
            ],
        ),
        Panel(
            title="Deliveries being answered",
            description="Requests in hand; rises when the log is slow.",
            unit="short",
            queries=[Query(f"sum(gateway_inflight_deliveries{{{HERE}}})", "in flight")],
        ),
    ],
)

LOG = Row(
    "Log",
    [
        Panel(
            title="Append duration",
            description="Time until the log had a delivery durable: the disk's share of the acknowledgement.",
            unit="s",
            queries=[
                Query(quantile(share, "gateway_append_duration_seconds", HERE), name)
                for share, name in ((0.5, "p50"), (0.99, "p99"))
            ],
        ),
        Panel(
            title="Failed appends",
            description="Each was answered 503; the sender repeats it.",
            unit="eps",
            queries=[Query(rate("gateway_append_errors_total", HERE, "reason"), "{{reason}}")],
        ),
        Panel(
            title="Waiting for the log",
            description="Events in memory for the next commit; the log refuses more when its budget is used up.",
            unit="short",
            queries=[Query(f"sum(gateway_log_queued_events{{{HERE}}})", "queued")],
        ),
        Panel(
            title="Events in the log",
            description="Kept until retention removes them.",
            unit="short",
            queries=[Query(f"max(gateway_log_events{{{HERE}}})", "events")],
        ),
        Panel(
            title="Size of the log and free space",
            description="Deliveries are refused before the disk is full.",
            unit="bytes",
            queries=[
                Query(f"max(gateway_log_bytes{{{HERE}}})", "log"),
                Query(f"min(gateway_log_free_bytes{{{HERE}}})", "free"),
            ],
        ),
        Panel(
            title="Oldest event in the log",
            description="How far back a replay can reach.",
            unit="s",
            queries=[Query(f"max(gateway_log_oldest_seconds{{{HERE}}})", "oldest")],
        ),
        Panel(
            title="Log takes appends",
            description="1 while it does; else see `log.*`. Sources that stand here lack their topic, or a partition.",
            unit="bool_yes_no",
            queries=[
                Query(f"min(gateway_log_writable{{{HERE}}})", "writable"),
                Query(f"min by (source) (gateway_source_writable{{{SOURCE}}} == 0)", "{{source}}"),
            ],
        ),
        Panel(
            title="Ids remembered, events in the spool, events not indexed",
            description="Of the Kafka engine; 0 or absent on the embedded log, which remembers ids on disk.",
            unit="short",
            queries=[
                Query(f"max(gateway_dedupe_ids{{{HERE}}})", "ids remembered"),
                Query(f"sum(gateway_spool_events{{{HERE}}})", "in the spool"),
                Query(f"sum(gateway_spool_held_events{{{HERE}}})", "held back there"),
                Query(f"sum(gateway_spool_set_aside_events{{{HERE}}})", "set aside there"),
                Query(f"sum(gateway_index_backlog_events{{{HERE}}})", "not indexed"),
            ],
        ),
        Panel(
            title="Lag of the memory of ids and of the index, age of the spool",
            description="Of the Kafka engine; 0 or absent on the embedded log.",
            unit="s",
            queries=[
                Query(f"max(gateway_dedupe_lag_seconds{{{HERE}}})", "dedupe lag"),
                Query(f"max(gateway_spool_oldest_seconds{{{HERE}}})", "oldest in the spool"),
                Query(f"max(gateway_index_lag_seconds{{{HERE}}})", "index lag"),
            ],
        ),
    ],
)

HANDLERS = Row(
    "Handlers",
    [
        Panel(
            title="Runs by outcome",
            description="What became of each run of a handler.",
            unit="ops",
            queries=[Query(rate("gateway_handler_runs_total", ROUTER, "outcome"), "{{outcome}}")],
            stack=True,
        ),
        Panel(
            title="Runs by handler",
            description="All outcomes together.",
            unit="ops",
            queries=[Query(rate("gateway_handler_runs_total", ROUTER, "router, handler"), "{{router}} {{handler}}")],
        ),
        Panel(
            title="Run duration p99",
            description="99 of 100 runs of the handler ended within this time.",
            unit="s",
            queries=[
                Query(
                    quantile(0.99, "gateway_handler_duration_seconds", ROUTER, "router, handler"),
                    "{{router}} {{handler}}",
                )
            ],
        ),
        Panel(
            title="Received to done",
            description="From an event's arrival until all of its handlers have a durable outcome.",
            unit="s",
            queries=[
                Query(quantile(0.5, "gateway_event_age_at_done_seconds", ROUTER, "router"), "{{router}} p50"),
                Query(quantile(0.99, "gateway_event_age_at_done_seconds", ROUTER, "router"), "{{router}} p99"),
            ],
        ),
        Panel(
            title="Backlog",
            description="Events stored that the router has not finished.",
            unit="short",
            queries=[Query(f"sum by (router) (gateway_backlog_events{{{ROUTER}}})", "{{router}}")],
        ),
        Panel(
            title="Oldest unprocessed event",
            description="Age of the oldest event that the router has not finished.",
            unit="s",
            queries=[Query(f"max by (router) (gateway_oldest_unprocessed_seconds{{{ROUTER}}})", "{{router}}")],
        ),
        Panel(
            title="Paused routers",
            description="By the operator, or by the breaker when nearly every run fails: `gateway routers resume`.",
            unit="bool_yes_no",
            queries=[Query(f"max by (router, cause) (gateway_router_paused{{{ROUTER}}})", "{{router}} {{cause}}")],
        ),
    ],
)

DEAD = Row(
    "Dead letters and replay",
    [
        Panel(
            title="Dead letters kept",
            description="`gateway dead list` shows them, `gateway dead retry` runs them again.",
            unit="short",
            queries=[Query(f"sum by (router) (gateway_dead_letters{{{ROUTER}}})", "{{router}}")],
        ),
        Panel(
            title="Dead letters made, by reason",
            description="Runs given up for good.",
            unit="ops",
            queries=[
                Query(
                    rate("gateway_dead_letters_total", ROUTER, "router, handler, reason"),
                    "{{router}} {{handler}} {{reason}}",
                )
            ],
        ),
        Panel(
            title="Retries parked",
            description="Runs that wait for a durable retry, those held behind one included.",
            unit="short",
            queries=[Query(f"sum by (router) (gateway_retries_parked{{{ROUTER}}})", "{{router}}")],
        ),
        Panel(
            title="Replayed",
            description="Events handed out by replays.",
            unit="eps",
            queries=[Query(rate("gateway_replayed_total", ROUTER, "router"), "{{router}}")],
        ),
        Panel(
            title="Events lost to a router",
            description="Removed by retention before the router had finished them, within the time shown.",
            unit="short",
            queries=[
                Query(f"sum by (router) (increase(gateway_gap_events_total{{{ROUTER}}}[$__range]))", "{{router}}")
            ],
        ),
    ],
)

RUNTIME = Row(
    "Runtime",
    [
        Panel(
            title="Processes up",
            description="1 if the process answered the scrape.",
            unit="bool_yes_no",
            queries=[Query(f"min by (process) (gateway_up{{{HERE}}})", "{{process}}")],
        ),
        Panel(
            title="Resident memory",
            description="Of each process.",
            unit="bytes",
            queries=[Query(f"sum by (process) (process_resident_memory_bytes{{{HERE}}})", "{{process}}")],
        ),
        Panel(
            title="CPU",
            description="Cores used by each process.",
            unit="short",
            queries=[Query(rate("process_cpu_seconds_total", HERE, "process"), "{{process}}")],
        ),
        Panel(
            title="Open file descriptors",
            description="Share of the process's limit; connections and files take one each.",
            unit="percentunit",
            queries=[
                Query(
                    f"max by (process) (process_open_fds{{{HERE}}} / process_max_fds{{{HERE}}})",
                    "{{process}}",
                )
            ],
        ),
        Panel(
            title="Restarts",
            description="How often each process started anew within the time shown.",
            unit="short",
            queries=[
                Query(f"sum by (process) (changes(process_start_time_seconds{{{HERE}}}[$__range]))", "{{process}}")
            ],
        ),
        Panel(
            title="What runs",
            description="Versions, and whether the configuration was last read without a mistake.",
            unit="short",
            kind="table",
            queries=[
                Query(f"max by (instance, version, python) (gateway_build_info{{{HERE}}})", "build"),
                Query(f"min by (instance) (gateway_config_last_reload_successful{{{HERE}}})", "configuration"),
            ],
        ),
    ],
)

ROWS = (SUMMARY, INGEST, VERIFICATION, LOG, HANDLERS, DEAD, RUNTIME)
