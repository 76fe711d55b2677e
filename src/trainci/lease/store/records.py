"""What the files of the lock directory say: requests, leases and the plan, one ``key value`` a line."""

from __future__ import annotations

FOREVER = float("inf")


class Place:
    """A device as a request knows it: its id, its index, and what it is near to.

    ``group`` names the set of devices that NVLink joins it to, ``numa`` its NUMA node.
    """

    __slots__ = ("group", "index", "numa", "uuid")

    def __init__(self, uuid: str, index: int, numa: int = -1, group: int = -1) -> None:
        self.uuid = uuid
        self.index = index
        self.numa = numa
        self.group = group


class Request:
    """What somebody asks for: ``count`` of ``places``, for at most ``bound`` seconds (None: not said).

    ``pattern`` is that of the foreign lock files that must be taken too, empty for none. ``since`` is when it
    arrived, ``name`` and ``uid`` and ``pid`` say whose it is.
    """

    __slots__ = ("bound", "count", "id", "name", "pattern", "pid", "places", "since", "uid")

    def __init__(
        self,
        id: str,
        count: int,
        places: tuple[Place, ...],
        bound: float | None,
        pattern: str,
        name: str,
        uid: int,
        pid: int,
        since: float,
    ) -> None:
        self.id = id
        self.count = count
        self.places = places
        self.bound = bound
        self.pattern = pattern
        self.name = name
        self.uid = uid
        self.pid = pid
        self.since = since

    def dump(self) -> str:
        """The text of its ticket."""
        lines = [
            f"id {self.id}",
            f"count {self.count}",
            f"bound {'-' if self.bound is None else self.bound}",
            f"pattern {self.pattern}",
            f"name {self.name}",
            f"uid {self.uid}",
            f"pid {self.pid}",
            f"since {self.since}",
        ]
        lines += [f"device {place.uuid} {place.index} {place.numa} {place.group}" for place in self.places]
        return "\n".join(lines) + "\n"


def load_request(text: str) -> Request | None:
    """The request that a ticket holds; None for a text that is not whole."""
    try:
        fields, devices = _split(text)
        places = tuple(
            Place(uuid, int(index), int(numa), int(group)) for uuid, index, numa, group in map(str.split, devices)
        )
        bound = None if fields["bound"] == "-" else float(fields["bound"])
        return Request(
            fields["id"],
            int(fields["count"]),
            places,
            bound,
            fields["pattern"],
            fields["name"],
            int(fields["uid"]),
            int(fields["pid"]),
            float(fields["since"]),
        )
    except (KeyError, ValueError):
        return None


class Record:
    """A running lease: whose it is, since when, and until when at the latest (FOREVER: nobody said).

    ``cgroup`` is the path of its job's own cgroup, empty where it has none.
    """

    __slots__ = ("cgroup", "devices", "id", "name", "pid", "since", "uid", "until")

    def __init__(
        self,
        id: str,
        devices: tuple[str, ...],
        name: str,
        uid: int,
        pid: int,
        since: float,
        until: float,
        cgroup: str = "",
    ) -> None:
        self.id = id
        self.devices = devices
        self.name = name
        self.uid = uid
        self.pid = pid
        self.since = since
        self.until = until
        self.cgroup = cgroup

    def dump(self) -> str:
        """The text of its file."""
        return (
            f"id {self.id}\nname {self.name}\nuid {self.uid}\npid {self.pid}\nsince {self.since}\n"
            f"until {self.until}\ncgroup {self.cgroup}\n" + "".join(f"device {device}\n" for device in self.devices)
        )


def load_record(text: str | None) -> Record | None:
    """The lease that a file describes; None for no text, or one that is not whole."""
    try:
        fields, devices = _split(text or "")
        return Record(
            fields["id"],
            tuple(devices),
            fields["name"],
            int(fields["uid"]),
            int(fields["pid"]),
            float(fields["since"]),
            float(fields["until"]),
            # A lease of an earlier trainci may still run.
            fields.get("cgroup", ""),
        )
    except (KeyError, ValueError):
        return None


class Turn:
    """The plan for one waiting request: when it may start at the latest, on which devices.

    ``granted_at`` is when it was told that the devices are its, None while it waits; ``stalled`` when it was told
    and did not come for them.
    """

    __slots__ = ("devices", "granted_at", "stalled", "start")

    def __init__(
        self, start: float, devices: tuple[str, ...], granted_at: float | None = None, stalled: bool = False
    ) -> None:
        self.start = start
        self.devices = devices
        self.granted_at = granted_at
        self.stalled = stalled


def dump_plan(plan: dict[str, Turn]) -> str:
    """The text of the plan, ``id start granted_at stalled devices`` a line."""
    return "".join(
        f"{id} {turn.start} {'-' if turn.granted_at is None else turn.granted_at} {int(turn.stalled)} "
        f"{','.join(turn.devices)}\n"
        for id, turn in plan.items()
    )


def load_plan(text: str | None) -> dict[str, Turn]:
    """The turns by request id. A line that is not whole is left out: the next pass plans that request anew."""
    plan = {}
    for line in (text or "").splitlines():
        try:
            id, start, granted, stalled, devices = line.split(" ")
            plan[id] = Turn(
                float(start),
                tuple(device for device in devices.split(",") if device),
                None if granted == "-" else float(granted),
                stalled == "1",
            )
        except ValueError:
            continue
    return plan


def _split(text: str) -> tuple[dict[str, str], list[str]]:
    fields: dict[str, str] = {}
    devices = []
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == "device":
            devices.append(value)
        else:
            fields[key] = value
    return fields, devices
