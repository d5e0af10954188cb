"""Provider wire protocols: bytes of request, response and stream -> one canonical `Call`.

`table` is the only door: `recognise` names the protocol of a request, `fold` turns its recorded
attempts into a `Call`. A new provider API is one file here, one line in the table and one test.
"""
