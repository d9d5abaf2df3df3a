# ruff: noqa: INP001 - a folder of files to deploy, not a package
"""The row of verification: what was refused and why, and what the edge fetches: keys, address lists, subscriptions."""

from deploy.grafana.panels import HERE, SOURCE, Panel, Query, Row, quantile, rate

_DELIVERIES = "gateway_deliveries_total"

VERIFICATION = Row(
    "Verification",
    [
        Panel(
            title="Refused by reason",
            description="Why deliveries were not acknowledged; `gateway rejections` lists them.",
            unit="eps",
            queries=[Query(rate(_DELIVERIES, f'{SOURCE},outcome="refused"', "reason"), "{{reason}}")],
            stack=True,
        ),
        Panel(
            title="Refused by source",
            description="`unknown` stands for every name that is not configured.",
            unit="eps",
            queries=[Query(rate(_DELIVERIES, f'{SOURCE},outcome="refused"', "source"), "{{source}}")],
        ),
        Panel(
            title="Verification p99 by provider",
            description="Cost of one admission decision on the event loop.",
            unit="s",
            queries=[Query(quantile(0.99, "gateway_verify_duration_seconds", HERE, "provider"), "{{provider}}")],
        ),
        Panel(
            title="Signature age",
            description="Arrival minus the signed timestamp. A median below 0: the sender's clock is ahead of ours.",
            unit="s",
            queries=[
                Query(quantile(0.5, "gateway_signature_age_seconds", SOURCE, "source"), "{{source}} p50"),
                Query(quantile(0.99, "gateway_signature_age_seconds", SOURCE, "source"), "{{source}} p99"),
            ],
        ),
        Panel(
            title="Secret that matched",
            description="During a rotation: once the old label is silent, the old secret can go.",
            unit="eps",
            queries=[Query(rate("gateway_secret_matched_total", SOURCE, "source, secret"), "{{source}} {{secret}}")],
        ),
        Panel(
            title="Time since a secret was last used",
            description="Kept over restarts; `gateway secrets` says which can be removed. Nothing for one never used.",
            unit="s",
            queries=[
                Query(
                    f"time() - max by (source, secret) (gateway_secret_last_used_timestamp_seconds{{{SOURCE}}} > 0)",
                    "{{source}} {{secret}}",
                )
            ],
        ),
        Panel(
            title="Quarantine",
            description="Unverified deliveries kept for `gateway quarantine readmit`.",
            unit="short",
            queries=[Query(f"max by (source) (gateway_quarantine_deliveries{{{SOURCE}}})", "{{source}}")],
        ),
        Panel(
            title="Quarantine on the disk",
            description="At its bound the oldest are forgotten.",
            unit="bytes",
            queries=[Query(f"max by (source) (gateway_quarantine_bytes{{{SOURCE}}})", "{{source}}")],
        ),
        Panel(
            title="Quarantine: lost and readmitted",
            description="Lost: too many at once, too large, or not written. Readmitted: by what became of them.",
            unit="ops",
            queries=[
                Query(rate("gateway_quarantine_lost_total", SOURCE, "source"), "{{source}} lost"),
                Query(rate("gateway_quarantine_readmitted_total", SOURCE, "source, outcome"), "{{source}} {{outcome}}"),
            ],
        ),
        Panel(
            title="Oddities of identity",
            description="Absent or impossible ids, one id with two bodies, an old body under a new id.",
            unit="eps",
            queries=[Query(rate("gateway_identity_flags_total", SOURCE, "source, flag"), "{{source}} {{flag}}")],
        ),
        Panel(
            title="Fetched keys",
            description="Fetches of the keys that verify, by outcome.",
            unit="ops",
            queries=[Query(rate("gateway_key_fetches_total", SOURCE, "source, outcome"), "{{source}} {{outcome}}")],
        ),
        Panel(
            title="Age of fetched keys and address lists",
            description="Both are refreshed daily; older ones: their host does not answer.",
            unit="s",
            queries=[
                Query(f"max by (source) (gateway_key_oldest_seconds{{{SOURCE}}})", "{{source}} keys"),
                Query(f"max by (source) (gateway_address_list_age_seconds{{{SOURCE}}})", "{{source}} addresses"),
            ],
        ),
        Panel(
            title="Subscriptions confirmed",
            description="Visits to the URL that confirms a subscription, by outcome.",
            unit="ops",
            queries=[Query(rate("gateway_visits_total", SOURCE, "source, outcome"), "{{source}} {{outcome}}")],
        ),
    ],
)
