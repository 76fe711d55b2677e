"""Pure: the libraries that speak to servers, as parts of a pattern, by what a traceback or a stack calls them."""

from __future__ import annotations

OTHERS = r"huggingface_hub|modelscope|kagglehub|gdown|botocore|s3transfer|gcsfs|s3fs|adlfs|wandb|azure"
"""The servers of these are not the program's own."""
EVERY = rf"requests|httpx2?|httpcore2?|urllib3?|aiohttp|openai|anthropic|fsspec|google|minio|mlflow|{OTHERS}"
