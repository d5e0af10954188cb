"""One file for each page; a page mounts its component and nothing more."""
