"""Mirrors `lkhub/prepare.py` and `lkhub/prepare_tls.py`."""
