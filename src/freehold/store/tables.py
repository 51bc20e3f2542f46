"""The tables of the catalog. What hangs on a document goes with it: foreign keys cascade."""

from __future__ import annotations

import sqlalchemy as sa

from freehold.privacy.sketch import FORM

SKETCHES = "sketches"
metadata = sa.MetaData()
meta = sa.Table(
    "meta", metadata, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String, nullable=False)
)
documents = sa.Table(
    "documents",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("source", sa.String, nullable=False, unique=True),
    sa.Column("title", sa.String, nullable=False),
    sa.Column("language", sa.String, nullable=False),
    sa.Column("media_type", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("recipe", sa.String, nullable=False),
    sa.Column("pages", sa.JSON, nullable=False),
    sa.Column("headings", sa.JSON, nullable=False),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("signature", sa.LargeBinary, nullable=False),
    sa.Column("near_duplicate_of", sa.String),
    sa.Column("near_duplicate_similarity", sa.Float),
    sa.Column("sealed", sa.Boolean, nullable=False),
    sa.Column("ingested_at", sa.String, nullable=False),
    sa.Column("access", sa.String, nullable=False, server_default="", index=True),
    sa.Column("access_revision", sa.Integer, nullable=False, server_default="0"),
)
texts = sa.Table(
    "texts",
    metadata,
    sa.Column("document_id", sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
)
sketches = sa.Table(
    f"{SKETCHES}_{FORM}",  # of another form it is another table
    metadata,
    sa.Column("document_id", sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("bits", sa.LargeBinary, nullable=False),
)
chunks = sa.Table(
    "chunks",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("document_id", sa.ForeignKey("documents.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("ordinal", sa.Integer, nullable=False),
    sa.Column("start", sa.Integer, nullable=False),
    sa.Column("end", sa.Integer, nullable=False),
    sa.Column("page", sa.Integer),
    sa.Column("heading_path", sa.JSON, nullable=False),
)
vectors = sa.Table(
    "vectors",
    metadata,
    sa.Column("chunk_id", sa.ForeignKey("chunks.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("maker", sa.String, primary_key=True),
    sa.Column("key", sa.LargeBinary, nullable=False, index=True),
    sa.Column("dense", sa.LargeBinary),
    sa.Column("codes", sa.LargeBinary),
    sa.Column("code_count", sa.Integer),
)
quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("code", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("limits", sa.String, nullable=False),
    sa.Column("access", sa.String, nullable=False, server_default=""),
)
restrictions = sa.Table(
    "restrictions",
    metadata,
    sa.Column("document_id", sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("request", sa.String, primary_key=True),
    sa.Column("since", sa.String, nullable=False),
)
holds = sa.Table(
    "holds",
    metadata,
    sa.Column("document_id", sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("basis", sa.String, nullable=False),
    sa.Column("review", sa.String, nullable=False),
    sa.Column("since", sa.String, nullable=False),
)
mentions = sa.Table(
    "mentions",
    metadata,
    sa.Column("document_id", sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("detector", sa.String, nullable=False),
    sa.Column("spans", sa.JSON, nullable=False),
)
salts = sa.Table(
    "salts",
    metadata,
    sa.Column("document_id", sa.ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("salt", sa.LargeBinary, nullable=False),
    sa.Column("leaf", sa.LargeBinary, nullable=False),  # the commitment to the document's bytes under the salt
)
