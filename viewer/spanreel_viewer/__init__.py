"""The local viewer: a Streamlit shell around parts that run in the browser; start it with `launch.launch`."""
