"""Who is next: arrival, the plan, the wait, the taking of devices."""
