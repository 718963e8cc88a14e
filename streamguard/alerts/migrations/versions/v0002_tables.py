"""Events, subscriptions, deliveries and the state of the rules."""

import sqlalchemy as sa
from alembic import op

# Of the tables as they are; databases of 0001 were made before any release.
revision = "0002"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "events",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("held_until", sa.Double(), nullable=False, server_default=sa.text("0")),
    )
    op.create_index("ix_events_at", "events", ["at"])
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("format", sa.String(32), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("secrets", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.Column("wait_until", sa.Double(), nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("webhook_id", sa.String(160), nullable=False, unique=True),
        sa.Column("subscription", sa.String(64), sa.ForeignKey("subscriptions.id", ondelete="CASCADE"), nullable=False),
        sa.Column("event", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("order_key", sa.Text(), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.Double(), nullable=False),
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
        sa.Column("asked", sa.Double(), nullable=False, server_default=sa.text("0")),
        sqlite_autoincrement=True,
    )
    op.create_index("deliveries_log", "deliveries", ["subscription", "at"])
    pending = sa.text("status = 'pending'")
    for name, columns in (
        ("deliveries_pending", ["subscription", "order_key", "seq"]),
        ("deliveries_due", ["subscription", "next_try"]),
    ):
        op.create_index(name, "deliveries", columns, sqlite_where=pending, postgresql_where=pending)
    op.create_table(
        "gates",
        sa.Column(
            "subscription", sa.String(64), sa.ForeignKey("subscriptions.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("face", sa.String(64), primary_key=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("due", sa.Double()),
    )
    op.create_index("ix_gates_due", "gates", ["due"])


def downgrade() -> None:
    """Drop them."""
    for table in ("gates", "deliveries", "subscriptions", "events"):
        op.drop_table(table)
