"""The tables of the outbox. Times are UTC epoch seconds; the migrations make them."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
_Serial = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("at", sa.Double(), nullable=False, index=True),
    sa.Column("stream", sa.Text(), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("document", sa.Text(), nullable=False),
    # Its deliveries wait so long for links to evidence, and then go without.
    sa.Column("held_until", sa.Double(), nullable=False, server_default=sa.text("0")),
)

subscriptions = sa.Table(
    "subscriptions",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("name", sa.Text(), nullable=False),
    sa.Column("url", sa.Text(), nullable=False),
    sa.Column("format", sa.String(32), nullable=False),
    sa.Column("rule", sa.Text(), nullable=False),
    # Sealed by a key that lies outside the database.
    sa.Column("secrets", sa.Text(), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("changed", sa.Double(), nullable=False),
    # What a 429 or 503 asked for counts for the whole endpoint.
    sa.Column("wait_until", sa.Double(), nullable=False),
)

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("seq", _Serial, primary_key=True, autoincrement=True),
    sa.Column("webhook_id", sa.String(160), nullable=False, unique=True),
    sa.Column("subscription", sa.String(64), sa.ForeignKey("subscriptions.id", ondelete="CASCADE"), nullable=False),
    sa.Column("event", sa.String(64), nullable=False),
    sa.Column("at", sa.Double(), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    # Deliveries of one subscription and one key arrive in the order of `seq`.
    sa.Column("order_key", sa.Text(), nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("attempts", sa.Integer(), nullable=False),
    sa.Column("next_try", sa.Double(), nullable=False),
    # When the row was last written; one that lies in the future tells of a clock set back.
    sa.Column("touched", sa.Double(), nullable=False),
    sa.Column("owner", sa.Text(), nullable=False),
    sa.Column("lease_until", sa.Double(), nullable=False),
    sa.Column("code", sa.Integer()),
    sa.Column("answer", sa.Text(), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
    sa.Column("done", sa.Double()),
    sa.Column("content_type", sa.Text(), nullable=False),
    sa.Column("body", sa.Text(), nullable=False),
    sa.Column("flapping", sa.Boolean(), nullable=False, server_default=sa.false()),
    # When it was made, or last asked for again.
    sa.Column("asked", sa.Double(), nullable=False, server_default=sa.text("0")),
    sa.Index("deliveries_log", "subscription", "at"),
    # Only what is under way is looked through when work is claimed.
    sa.Index(
        "deliveries_pending",
        "subscription",
        "order_key",
        "seq",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    ),
    sa.Index(
        "deliveries_due",
        "subscription",
        "next_try",
        sqlite_where=sa.text("status = 'pending'"),
        postgresql_where=sa.text("status = 'pending'"),
    ),
    sqlite_autoincrement=True,
)

gates = sa.Table(
    "gates",
    metadata,
    sa.Column("subscription", sa.String(64), sa.ForeignKey("subscriptions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("stream", sa.Text(), primary_key=True),
    # Epoch and track of a face; empty for the stream itself.
    sa.Column("face", sa.String(64), primary_key=True),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("due", sa.Double(), index=True),
)
