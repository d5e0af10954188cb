"""Libraries whose work is seen in their own calls, because no HTTP of a provider's passes: one file each.

Vector stores, local models, frameworks, MCP. A new library is one file with `install(module)` and one line in
`HOOKS`; they are put in at the first traced entry, together with those of `wire`. (The folder is not called
`instrument`: that is a public function, which a submodule of its name would overwrite.)
"""

from __future__ import annotations

from spanreel.hooks import Hook, Hooks, Outcome

__all__ = ["HOOKS", "LIBRARIES", "Hook", "Outcome", "hooks", "install", "outcomes", "uninstall"]

HOOKS: tuple[Hook, ...] = (
    Hook(
        "chromadb",
        "spanreel.instruments.chroma",
        (0, 5),
        (2,),
        ("chromadb.api.models.Collection", "chromadb.api.models.AsyncCollection"),
    ),
    Hook("qdrant_client", "spanreel.instruments.qdrant", (1, 7), (2,), distribution="qdrant-client"),
    Hook(
        "weaviate",
        "spanreel.instruments.weaviate",
        (4,),
        (5,),
        ("weaviate.collections.query", "weaviate.collections.generate"),
        distribution="weaviate-client",
    ),
    Hook(
        "pinecone",
        "spanreel.instruments.pinecone",
        (6,),
        (11,),
        (  # of 10, then of 6 to 9
            "pinecone._internal.http_client",
            "pinecone.index",
            "pinecone.async_client.async_index",
            "pinecone.client.documents",
            "pinecone.async_client.documents",
            "pinecone.client.inference",
            "pinecone.async_client.inference",
            "pinecone.grpc",
            "pinecone.data.index",
            "pinecone.db_data.index",
            "pinecone.db_data.index_asyncio",
            "pinecone.grpc.index_grpc",
            "pinecone.inference.inference",
            "pinecone.inference.inference_asyncio",
        ),
    ),
    Hook("psycopg", "spanreel.instruments.psycopg", (3, 1), (4,)),
    Hook(
        "asyncpg",
        "spanreel.instruments.asyncpg",
        (0, 28),
        (1,),
        ("asyncpg.connection", "asyncpg.prepared_stmt"),
    ),
    Hook("faiss", "spanreel.instruments.faiss", (1, 7), (2,)),
    Hook("lancedb", "spanreel.instruments.lancedb", (0, 15), (1,), ("lancedb.query",)),
    Hook("celery", "spanreel.instruments.celery", (5, 2), (6,), ("celery.signals",)),
    Hook("rq", "spanreel.instruments.rq", (2,), (4,), ("rq.job",)),
    Hook(
        "mcp",
        "spanreel.instruments.mcp",
        (1, 10),
        (3,),
        (  # of 2, then of 1
            "mcp.shared.jsonrpc_dispatcher",
            "mcp.shared.direct_dispatcher",
            "mcp.server.runner",
            "mcp.client.session",
            "mcp.client.streamable_http",
            "mcp.client.stdio",
            "mcp.shared.session",
            "mcp.server.lowlevel.server",
        ),
        distribution="mcp",
    ),
    Hook(
        "sentence_transformers",
        "spanreel.instruments.sentence_transformers",
        (3,),
        (7,),
        distribution="sentence-transformers",
    ),
    Hook(
        "transformers", "spanreel.instruments.transformers", (4, 40), (6,), ("transformers.pipelines.base",)
    ),
    Hook("llama_cpp", "spanreel.instruments.llama_cpp", (0, 2), (0, 4), distribution="llama-cpp-python"),
    Hook("rank_bm25", "spanreel.instruments.bm25", (0, 2), (0, 3), distribution="rank-bm25"),
)

hooks = Hooks("instruments", HOOKS)
LIBRARIES = hooks.libraries
install = hooks.install
uninstall = hooks.uninstall
outcomes = hooks.outcomes
