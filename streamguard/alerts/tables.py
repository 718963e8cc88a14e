"""The tables of the alerts database. Times are UTC epoch seconds; the migrations make them."""

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
    sa.Column("incident", sa.String(64), index=True),
    sa.Index("events_of_stream", "stream", "at"),
)

incidents = sa.Table(
    "incidents",
    metadata,
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("stream", sa.Text(), nullable=False),
    sa.Column("opened", sa.Double(), nullable=False, index=True),
    sa.Column("updated", sa.Double(), nullable=False),
    # Null while it is open.
    sa.Column("closed", sa.Double()),
    sa.Column("cause", sa.String(16)),
    sa.Column("openings", sa.Integer(), nullable=False),
    # Of the newest event: connection, track, media seconds, face box (JSON).
    sa.Column("epoch", sa.Integer(), nullable=False),
    sa.Column("track", sa.Integer(), nullable=False),
    sa.Column("opened_time", sa.Double()),
    sa.Column("time", sa.Double()),
    sa.Column("box", sa.Text()),
    # The highest of its events.
    sa.Column("score", sa.Double(), nullable=False),
    sa.Column("share", sa.Double(), nullable=False),
    # Frames.
    sa.Column("judged", sa.Integer(), nullable=False),
    sa.Column("fake", sa.Integer(), nullable=False),
    sa.Column("model", sa.Text(), nullable=False),
    sa.Column("engine", sa.Text(), nullable=False),
    sa.Column("mark", sa.String(16)),
    sa.Column("note", sa.Text(), nullable=False),
    sa.Column("marked_by", sa.Text()),
    sa.Column("marked_at", sa.Double()),
    sa.Index("incidents_of_stream", "stream", "opened"),
)

incident_scores = sa.Table(
    "incident_scores",
    metadata,
    sa.Column("incident", sa.String(64), sa.ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
    # JSON; thinned by who writes it.
    sa.Column("samples", sa.Text(), nullable=False),
)

kept_streams = sa.Table(
    "kept_streams",
    metadata,
    # Which server fetches it: several may share a database.
    sa.Column("server", sa.Text(), primary_key=True),
    sa.Column("name", sa.Text(), primary_key=True),
    # Sources hold passwords.
    sa.Column("sealed", sa.Text(), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
)

audit = sa.Table(
    "audit",
    metadata,
    # In the order of time.
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("at", sa.Double(), nullable=False, index=True),
    sa.Column("who", sa.Text()),
    sa.Column("address", sa.Text(), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("target", sa.Text(), nullable=False),
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
    # When the row was last written; a time in the future means that a clock was set back.
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

cluster_workers = sa.Table(
    "cluster_workers",
    metadata,
    # Of one life.
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("seat", sa.Text(), nullable=False),
    sa.Column("life", sa.BigInteger(), nullable=False),
    sa.Column("domain", sa.Text(), nullable=False),
    sa.Column("heartbeat", sa.Double(), nullable=False),
    sa.Column("capacity", sa.Double(), nullable=False),
    sa.Column("most", sa.Integer(), nullable=False),
    sa.Column("able", sa.Boolean(), nullable=False),
    sa.Column("ordered", sa.String(16), nullable=False),
    sa.Column("lost", sa.Boolean(), nullable=False),
    # JSON: what is told of it.
    sa.Column("card", sa.Text(), nullable=False),
)

stream_leases = sa.Table(
    "stream_leases",
    metadata,
    sa.Column("stream", sa.Text(), primary_key=True),
    sa.Column("priority", sa.Integer(), nullable=False),
    sa.Column("published", sa.Boolean(), nullable=False),
    sa.Column("ending", sa.Boolean(), nullable=False),
    sa.Column("target", sa.String(64), index=True),
    sa.Column("owner", sa.String(64), index=True),
    # Fences off what earlier owners write.
    sa.Column("epoch", sa.BigInteger(), nullable=False),
    sa.Column("changed", sa.Double(), nullable=False),
    # How it is fetched and judged, sealed; null for one that is sent to its owner.
    sa.Column("sealed", sa.Text()),
    sa.Column("origin", sa.String(16), nullable=False),
    # Rises with each change of how it is fetched and judged.
    sa.Column("revision", sa.Integer(), nullable=False),
    sa.Column("created", sa.Double(), nullable=False),
)

cluster_plans = sa.Table(
    "cluster_plans",
    metadata,
    # One row.
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("last", sa.Double(), nullable=False),
    sa.Column("steady", sa.Double(), nullable=False),
)

gates = sa.Table(
    "gates",
    metadata,
    sa.Column("subscription", sa.String(64), sa.ForeignKey("subscriptions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("stream", sa.Text(), primary_key=True),
    # The incident of a face; empty for the stream itself.
    sa.Column("face", sa.String(64), primary_key=True),
    sa.Column("state", sa.Text(), nullable=False),
    sa.Column("due", sa.Double(), index=True),
)
