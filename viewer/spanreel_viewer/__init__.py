"""The local viewer: a Streamlit shell around two components that run in the browser."""

from spanreel_viewer.launch import launch

__all__ = ["launch"]
