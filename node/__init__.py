"""One node: the process around the pure core, with its store, engine, sync and API."""
