"""Incidents, their scores, and streams kept over a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and what finds events by stream and incident."""
    op.add_column("events", sa.Column("incident", sa.String(64)))
    op.create_index("ix_events_incident", "events", ["incident"])
    op.create_index("events_of_stream", "events", ["stream", "at"])
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("opened", sa.Double(), nullable=False),
        sa.Column("updated", sa.Double(), nullable=False),
        sa.Column("closed", sa.Double()),
        sa.Column("cause", sa.String(16)),
        sa.Column("openings", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("track", sa.Integer(), nullable=False),
        sa.Column("opened_time", sa.Double()),
        sa.Column("time", sa.Double()),
        sa.Column("box", sa.Text()),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("share", sa.Double(), nullable=False),
        sa.Column("judged", sa.Integer(), nullable=False),
        sa.Column("fake", sa.Integer(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("engine", sa.Text(), nullable=False),
        sa.Column("mark", sa.String(16)),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("marked_by", sa.Text()),
        sa.Column("marked_at", sa.Double()),
    )
    op.create_index("ix_incidents_opened", "incidents", ["opened"])
    op.create_index("incidents_of_stream", "incidents", ["stream", "opened"])
    op.create_table(
        "incident_scores",
        sa.Column("incident", sa.String(64), sa.ForeignKey("incidents.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("samples", sa.Text(), nullable=False),
    )
    op.create_table(
        "kept_streams",
        sa.Column("server", sa.Text(), primary_key=True),
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("kept_streams", "incident_scores", "incidents"):
        op.drop_table(table)
    op.drop_index("events_of_stream", "events")
    op.drop_index("ix_events_incident", "events")
    op.drop_column("events", "incident")
