"""`/`: the list of traces. Filters stand in the address; rows come from `/api/traces`."""

from spanreel_viewer.components.parts import traces

traces()
