"""The `hansa` command and the client library beneath it."""
