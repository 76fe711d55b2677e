"""The GPUs of a host: one fair queue for all users, processes and containers, with no daemon.

The truth about a device is one kernel lock (flock) on its file, held by every process of the job. Whoever comes,
goes or finds somebody gone runs a scheduling cycle over the queue (``queue``), which asks the pure ``policy`` who
is next. ``view`` shows it, ``protocol`` is what an executor needs to know.
"""
