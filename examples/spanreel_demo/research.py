"""The desk in asyncio: two searches at the same time, then a streamed answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from openai import AsyncOpenAI

import spanreel
from spanreel_demo.agent import instructions, with_pages
from spanreel_demo.models import Message, models
from spanreel_demo.search import DIMENSIONS, Hit, closest, search, texts_to_embed


@spanreel.trace(kind="agent", name="research")
async def research(question: str, *, keep: int = 4) -> str:
    """Answer a broad question from both halves of the handbook."""
    async with AsyncOpenAI() as client:
        policies, guides = await asyncio.gather(
            asyncio.to_thread(search, question, collection="policies"),
            asyncio.to_thread(search, question, collection="guides"),
        )
        pages = await rerank(client, question, [*policies, *guides])
        messages = [instructions("a visitor"), with_pages(question, pages[:keep])]
        return "".join([piece async for piece in reply(client, messages)])


@spanreel.trace.rerank
async def rerank(client: AsyncOpenAI, question: str, hits: list[Hit]) -> list[Hit]:
    """Put the pages that mean most of the question first."""
    answer = await client.embeddings.create(
        model=models().embedding, input=texts_to_embed(question, hits), dimensions=DIMENSIONS
    )
    return closest([item.embedding for item in answer.data], hits)


@spanreel.trace
async def reply(client: AsyncOpenAI, messages: list[Message]) -> AsyncIterator[str]:
    """Stream the answer, at most 80 tokens of it."""
    stream = await client.chat.completions.create(
        model=models().fallback,
        messages=messages,
        max_completion_tokens=80,
        stream=True,
        stream_options={"include_usage": True},
    )
    async with stream:
        async for chunk in stream:
            for choice in chunk.choices:
                yield choice.delta.content or ""
