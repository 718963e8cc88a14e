"""Workers, and which of them holds which stream."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; numbers that rise for ever only where several machines can share them."""
    op.create_table(
        "cluster_workers",
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
        sa.Column("card", sa.Text(), nullable=False),
    )
    leases = op.create_table(
        "stream_leases",
        sa.Column("stream", sa.Text(), primary_key=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("ending", sa.Boolean(), nullable=False),
        sa.Column("target", sa.String(64)),
        sa.Column("owner", sa.String(64)),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.Column("sealed", sa.Text()),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
    )
    for column in ("target", "owner"):
        op.create_index(f"ix_{leases.name}_{column}", leases.name, [column])
    op.create_table(
        "cluster_plans",
        sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("last", sa.Double(), nullable=False),
        sa.Column("steady", sa.Double(), nullable=False),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.schema.CreateSequence(sa.Sequence("lease_epochs")))


def downgrade() -> None:
    """Drop them."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(sa.schema.DropSequence(sa.Sequence("lease_epochs")))
    for table in ("cluster_plans", "stream_leases", "cluster_workers"):
        op.drop_table(table)
