"""Tests. The folders mirror `lkhub/`; `golden/` holds specs with what they give, `integration/`,
`namespaces/` and `browser/` need more than Python."""
