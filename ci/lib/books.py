"""Whether what a server counted is what its clients did, and whether it has grown: the checks of ci/soak."""

import statistics
import typing

# The mean of the last third is not above that of the first one by a larger share.
GROWTH_MAX = 0.03
# The least that is in use of a pool of mbufs: not above by a larger share of all there are.
POOL_GROWTH_MAX = 0.01
# Empty frames that an lcore has at hand to send.
BURST_MAX = 32
# Memory that is shared between two processes loses next to nothing. TCP makes up for it.
LOST_MAX = 0.001


class Check(typing.NamedTuple):
    holds: bool
    text: str


def title(soak):
    clients = soak.clients
    return (
        f"{soak.path}, {soak.seconds} s: {clients['deliveries']:,} deliveries of {clients['messages']:,} messages "
        f"to {clients['connections']:,} clients and {clients['slow']} slow ones at the most, "
        f"{clients['connects']:,} connections"
    )


def checks(soak):
    yield generator(soak)
    yield server_end(soak)
    yield messages(soak)
    yield deliveries(soak)
    yield arrivals(soak)
    yield sessions(soak)
    yield closes(soak)
    yield rest(soak)
    if soak.path == "dpdk":
        yield from segments(soak)
        yield from pools(soak)
    yield resident(soak)


def generator(soak):
    if soak.status == 0 and soak.clients["ok"]:
        return Check(True, "clients: every message once, in order and whole, while they were connected")
    kinds = "lost duplicated reordered damaged unexpected protocol_errors disconnected".split()
    found = [f"{soak.clients[kind]} {kind}" for kind in kinds if soak.clients[kind]]
    found += [soak.clients["error"]] if soak.clients["error"] else []
    return Check(False, f"clients: status {soak.status}, {', '.join(found)}; {'; '.join(soak.clients['examples'])}")


def server_end(soak):
    return Check(soak.server_status == 0, f"server: it ended with status {soak.server_status}")


def grown(soak, name):
    """What the server counted while the clients were there."""
    return soak.after["totals"][name] - soak.before["totals"][name]


def messages(soak):
    sent, received, published = soak.clients["whole_run"]["messages_sent"], grown(soak, "messages_received"), grown(soak, "messages_published")
    return Check(sent == received == published, f"messages: {sent:,} sent by clients, {received:,} received by the server, {published:,} published")


def deliveries(soak):
    due, sent = grown(soak, "deliveries_due"), grown(soak, "deliveries_sent")
    prefix = "deliveries_dropped_"
    dropped = {name.removeprefix(prefix): grown(soak, name) for name in soak.after["totals"] if name.startswith(prefix)}
    waiting = soak.after["totals"]["backlog_messages"]
    reasons = "".join(f" + {count:,} dropped ({reason})" for reason, count in dropped.items() if count)
    holds = soak.after["exact"] and due == sent + sum(dropped.values()) + waiting
    return Check(holds, f"deliveries: {due:,} due = {sent:,} sent{reasons} + {waiting:,} waiting")


def in_order(end):
    """Whether the client closed the session, and read up to the server's Close."""
    return end["cause"] == "client" and end["code"] == 1000 and end["answered"]


def arrivals(soak):
    """Who closes in order has everything that the server sent before its Close. What is left unread by
    others, which are the slow ones, the log of the server says, session by session."""
    sent, arrived = grown(soak, "deliveries_sent"), soak.clients["whole_run"]["messages_received"]
    of_slow = sum(end["messages_sent"] for end in soak.ends if not in_order(end))
    text = f"arrivals: {sent:,} sent = {arrived:,} received by clients that read + {of_slow:,} to slow ones, which leave them unread"
    return Check(sent == arrived + of_slow, text)


def sessions(soak):
    made, opened, closed = soak.clients["whole_run"]["opened"], grown(soak, "sessions_opened"), grown(soak, "sessions_closed")
    return Check(made == opened == closed, f"sessions: {made:,} made by clients, {opened:,} opened and {closed:,} closed by the server")


def closes(soak):
    of_clients, slow = soak.clients["whole_run"]["closed"], soak.clients["whole_run"]["opened_slow"]
    logged = len(soak.ends)
    ordered = sum(map(in_order, soak.ends))
    holds = of_clients == ordered and slow == logged - ordered and logged == grown(soak, "sessions_closed")
    text = f"closes: {of_clients:,} answered for clients, {ordered:,} logged by the server; {logged - ordered:,} others, of {slow:,} slow clients"
    return Check(holds, text)


def rest(soak):
    """At the end there is nothing left of anybody."""
    totals, flows = soak.after["totals"], soak.after.get("flows", {})
    left = {name: totals[name] for name in ("backlog_messages", "backlog_bytes", "connections") if name in totals}
    left |= {f"flows {state}": count for state, count in flows.items() if state != "time_wait"}
    left = {name: count for name, count in left.items() if count}
    named = ", ".join(f"{count:,} {name}" for name, count in left.items())
    return Check(not left, f"rest: {named or 'no connection, no backlog'}")


def segments(soak):
    clients, lcores = soak.clients["segments"], soak.after["lcores"]
    summed = lambda name: sum(lcore[name] for lcore in lcores)
    queues = [queue for lcore in lcores for queue in lcore["queues"]]
    unsent = sum(queue[name] for queue in queues for name in ("dropped_tx_full", "dropped_invalid", "no_memory"))
    damaged = sum(soak.after["drops"].get(reason, 0) for reason in ("checksum", "malformed"))
    yield way("clients to server", clients["segments_out"] - clients["dropped_out"], summed("segments_in"), damaged)
    yield way("server to clients", summed("segments_out") - unsent, clients["segments_in"], clients["damaged"])


def way(name, out, came, damaged):
    lost = out - came - damaged
    share = lost / max(out, 1)
    text = f"segments, {name}: {out:,} out, {came:,} in, {damaged:,} damaged, {lost:,} lost ({share:.4%}, at most {LOST_MAX:.1%})"
    return Check(0 <= lost <= out * LOST_MAX, text)


def thirds(soak):
    """Samples of the first and the last third of what follows the first of ten rounds."""
    part = soak.seconds * 0.3
    first = [sample for sample in soak.samples if soak.seconds * 0.1 <= sample[0] < soak.seconds * 0.1 + part]
    last = [sample for sample in soak.samples if soak.seconds - part <= sample[0] < soak.seconds]
    return first, last


def pools(soak):
    at_rest = {pool["name"]: pool["in_use"] for pool in soak.before["mempools"]}
    first, last = thirds(soak)
    for pool in soak.after["mempools"]:
        name, mbufs = pool["name"], pool["mbufs"]
        before, after = at_rest.get(name, 0), pool["in_use"]
        least = [min((sample[2].get(name, 0) for sample in part), default=None) for part in (first, last)]
        is_flat = None not in least and least[1] - least[0] <= mbufs * POOL_GROWTH_MAX
        # Those that are at hand come from the pools to send from.
        spare = BURST_MAX if name.startswith("tx_") else 0
        text = f"pool {name}: {before:,} of {mbufs:,} mbufs in use before, {after:,} after (at most {before + spare:,}), {least[0]} and {least[1]} at the least in the first and the last third"
        yield Check(after <= before + spare and is_flat, text)


def resident(soak):
    first, last = thirds(soak)
    if not first or not last:
        return Check(False, "memory: nobody looked at it")
    before, after = (statistics.mean(sample[1] for sample in part) for part in (first, last))
    growth = after / before - 1
    text = f"memory: {before / 2**20:.1f} MiB resident in the first third, {after / 2**20:.1f} MiB in the last ({growth:+.1%}, at most {GROWTH_MAX:+.0%})"
    return Check(growth <= GROWTH_MAX, text)
