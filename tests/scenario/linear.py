# linear - checks that a history of operations on a few keys is linearizable: that each can be given one
# moment between its call and its return so that, in the order of those moments, every answer is right.
#
# The search is Wing and Gong's with Lowe's memory of what was tried, as in Porcupine: take any operation
# that was called before the first return, if its answer is right now; go back when a return is met whose
# operation was not taken. A set of keys is checked as one, so that listings have their place too.
#
# An operation without an answer may take effect at any later time, or never.
#
# SPDX-License-Identifier: Apache-2.0
import collections
import heapq

# call, end: times; end None: no answer came. key: index in the set. value: what was written, or expected
# and written (put_if: a pair). answer: get: value or None; list: values of all keys; puts: True or False.
Op = collections.namedtuple("Op", "client call end kind key value answer")


def replaced(state, key, value):
    return state[:key] + (value,) + state[key + 1:]


def step(state, op):
    """The state after op, or None if its answer cannot be given in this state."""
    kind, key = op.kind, op.key
    if kind == "get":
        return state if state[key] == op.answer else None
    if kind == "list":
        return state if state == op.answer else None
    if kind == "put":
        return replaced(state, key, op.value)
    if kind == "delete":
        return replaced(state, key, None)
    holds, value = (state[key] is None, op.value) if kind == "put_new" else (state[key] == op.value[0], op.value[1])
    if op.end is not None and holds != op.answer:
        return None
    return replaced(state, key, value) if holds else state


class Entry:
    """A call or a return in the list of events."""
    __slots__ = ("op", "number", "match", "before", "after")

    def __init__(self, op, number, match=None):
        self.op, self.number, self.match, self.before, self.after = op, number, match, None, None


def events(ops):
    """A doubly linked list of calls and returns in order of time; returns its head."""
    timed = []
    for number, op in enumerate(ops):
        back = Entry(op, number)
        # A call at the time of a return comes first: they may have overlapped.
        timed.append((op.call, 0, number, Entry(op, number, back)))
        timed.append((float("inf") if op.end is None else op.end, 1, number, back))
    timed.sort(key=lambda t: t[:3])
    head = last = Entry(None, -1)
    for _, _, _, entry in timed:
        last.after, entry.before = entry, last
        last = entry
    return head


def lift(entry):
    for one in (entry, entry.match):
        one.before.after = one.after
        if one.after is not None:
            one.after.before = one.before


def unlift(entry):
    for one in (entry.match, entry):
        one.before.after = one
        if one.after is not None:
            one.after.before = one


def linearizable(ops, keys, first=None):
    """None if it is; else (order found for the longest beginning, the operation that fits nowhere)."""
    head = events(ops)
    state, taken, stack, tried = first or (None,) * keys, 0, [], set()
    longest, stuck = [], None
    entry = head.after
    while head.after is not None:
        if entry.match is not None:
            after = step(state, entry.op)
            mark = (taken | 1 << entry.number, after)
            if after is not None and mark not in tried:
                tried.add(mark)
                stack.append((entry, state))
                state, taken = after, mark[0]
                lift(entry)
                entry = head.after
            else:
                entry = entry.after
            continue
        if entry.op.end is None:    # only what was never answered is left
            return None
        if stuck is None or len(stack) >= len(longest):
            longest, stuck = [e.op for e, _ in stack], entry.op
        if not stack:
            return longest, stuck
        entry, state = stack.pop()
        taken &= ~(1 << entry.number)
        unlift(entry)
        entry = entry.after
    return None


def shown(op, zero):
    end = "never" if op.end is None else f"{(op.end - zero) / 1e6:.3f}"
    return f"client {op.client} [{(op.call - zero) / 1e6:.3f} {end}] {op.kind} k{op.key} {op.value!r} -> {op.answer!r}"


def explain(longest, stuck):
    """A few lines: the end of the order that was found, and what fits nowhere."""
    zero = min([op.call for op in longest[-12:]] + [stuck.call])
    return ["in this order all is right (times in ms):"] + ["  " + shown(op, zero) for op in longest[-12:]] + [
        "and there is no place for:", "  " + shown(stuck, zero)]


def overlapping(ops):
    """The largest number of operations under way at once, for the count that is printed."""
    most, ends = 0, []
    for op in sorted(ops, key=lambda o: o.call):
        while ends and ends[0] <= op.call:
            heapq.heappop(ends)
        heapq.heappush(ends, float("inf") if op.end is None else op.end)
        most = max(most, len(ends))
    return most
