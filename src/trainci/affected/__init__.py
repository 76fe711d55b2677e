"""Which tests a changed file reaches, without running anything."""
