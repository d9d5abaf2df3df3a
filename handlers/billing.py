"""Keeps the present state of each Stripe invoice.

Stripe does not promise order: `invoice.paid` may come before `invoice.created`. `stale="skip"` refuses what is older
than the last event applied for the same invoice, so that the table never goes back in time.
"""

from gateway import Context, Event, Router

SCHEMA = """
create table if not exists invoice (
    id text primary key,
    customer text,
    status text not null,
    amount_due bigint not null,
    amount_paid bigint not null,
    currency text not null
);
"""

router = Router("billing", schema=SCHEMA)


def is_real(event: Event) -> bool:
    """Return whether the event is about an invoice that exists; the preview of one to come has no id yet."""
    return event.type != "invoice.upcoming"


@router.on("invoice.*", provider="stripe", name="record-invoice", where=is_real, stale="skip")
async def record_invoice(event: Event, ctx: Context) -> None:
    """Insert or update the invoice the event is about."""
    invoice = event.json()["data"]["object"]
    await ctx.tx.execute(
        "insert into invoice (id, customer, status, amount_due, amount_paid, currency)"
        " values (:id, :customer, :status, :amount_due, :amount_paid, :currency)"
        " on conflict (id) do update set status = excluded.status, amount_due = excluded.amount_due,"
        " amount_paid = excluded.amount_paid",
        {
            "id": invoice["id"],
            "customer": invoice.get("customer"),
            "status": invoice["status"],
            "amount_due": invoice["amount_due"],
            "amount_paid": invoice["amount_paid"],
            "currency": invoice["currency"],
        },
    )
