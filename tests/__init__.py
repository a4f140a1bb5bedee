"""Tests. The folders mirror `lkhub/`; `golden/` contains specs with the expected results; `integration/`, `namespaces/`
and `browser/` need more than Python."""
