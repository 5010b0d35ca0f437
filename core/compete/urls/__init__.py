"""Stores behind URLs that fsspec opens: S3, Google Cloud Storage, the Hugging Face Hub, HTTP and others."""
