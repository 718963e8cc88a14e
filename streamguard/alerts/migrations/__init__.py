"""Migrations of the alerts database (alembic)."""
