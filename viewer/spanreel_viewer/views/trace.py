"""`/trace?trace=ID&span=ID`: one trace. Its spans come from `/api/trace`, bodies from `/api/span`."""

from spanreel_viewer.components.parts import trace

trace()
