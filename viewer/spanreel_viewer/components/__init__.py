"""Streamlit components; their code is plain ES modules under `assets/`."""
