"""Mirrors `lkhub/prepare/hub.py` and `lkhub/prepare/certificates.py`."""
