"""`Plan` → files in memory. Pure: writing them is `lkhub.host.files`."""
