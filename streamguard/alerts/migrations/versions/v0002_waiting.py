"""Alerts that wait for their evidence; since when a delivery has been wanted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; what is there waits for nothing."""
    op.add_column("events", sa.Column("held_until", sa.Double(), nullable=False, server_default=sa.text("0")))
    op.add_column("deliveries", sa.Column("flapping", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("deliveries", sa.Column("asked", sa.Double(), nullable=False, server_default=sa.text("0")))
    op.execute("UPDATE deliveries SET asked = created")


def downgrade() -> None:
    """Drop them."""
    op.drop_column("deliveries", "asked")
    op.drop_column("deliveries", "flapping")
    op.drop_column("events", "held_until")
