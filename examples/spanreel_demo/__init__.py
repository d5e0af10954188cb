"""A support desk for Fernwheel, a company that does not exist, recorded by spanreel.

It is the application behind `spanreel demo`, and a tutorial. Read it in this order:

`agent.py`     the desk: plan, search, answer with tools; the decorators and the context managers
`research.py`  the same in asyncio: two searches at once, a streamed answer
`inbox.py`     a thread pool, structured output
`review.py`    a model that judges answers, and scores
`tools.py`     what the desk can do; some of it fails
`day.py`       the day that is recorded, scene by scene; `run.py` is the command around it

The rest is scenery: `retrieval.py` (BM25), `documents/` and `data/` (the company), and a stand-in for the OpenAI API
(`model_server.py`, `responder.py`, `tokens.py`), so that no key is needed and nothing leaves the machine.
"""
