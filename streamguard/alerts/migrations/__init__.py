"""How the outbox's tables came to be, step by step (alembic)."""
