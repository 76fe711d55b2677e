"""``python -m trainci.config`` prints the JSON Schema of ``trainci.toml``."""

import json
import sys

from trainci.config import json_schema

sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
