"""The script that Streamlit runs for every visit: the bar, then the page the address names."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from spanreel_viewer import source
from spanreel_viewer.components.parts import bar

VIEWS = Path(__file__).with_name("views")


def main() -> None:
    """Draw the bar and run the page."""
    st.set_page_config(
        page_title="spanreel", page_icon=str(Path(__file__).with_name("assets") / "icon.svg"), layout="wide"
    )
    pages = [
        st.Page(VIEWS / "traces.py", title="Traces", default=True),
        st.Page(VIEWS / "trace.py", title="Trace", url_path="trace", visibility="hidden"),
    ]
    page = st.navigation(pages, position="hidden")
    try:
        here = source.current()
    except source.NoSourceError as error:
        st.error(str(error))
        return
    bar(pages=[{"label": "Traces", "path": "/"}], store=here.name, store_path=here.path)
    page.run()


main()
