"""OTLP, whatever the form it comes in -> journal records; used by `spanreel import` and by receivers."""
