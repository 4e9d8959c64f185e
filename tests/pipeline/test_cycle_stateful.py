"""What holds of the cycle whatever is done to it, in whatever order."""

from collections import Counter

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support import InOrder, ManualClock, servers

from traced_image import RetryPolicy
from traced_image.errors import Reason
from traced_image.pipeline.attempts.server_cycle import ServerCycle

REASON = Reason("connection_refused")
CAP = 8.0
LONGEST_ASKED = 20.0


class Cycles(RuleBasedStateMachine):
    @initialize(count=st.integers(1, 4), seed=st.integers(), base=st.sampled_from((0.0, 1.0)))
    def start(self, count, seed, base):
        self.time = ManualClock()
        self.servers = servers(count)
        policy = RetryPolicy(cooldown_base=base, cooldown_cap=CAP)
        self.cycle = ServerCycle(self.servers, policy, self.time.clock(), InOrder(seed))
        self.out = []
        self.stale = []
        self.trials = {}

    @rule(tried=st.integers(0, 4), careful=st.booleans())
    def pick(self, tried, careful):
        tried = self.servers[:tried]
        ready = {
            health.server: health.state in ("healthy", "failing")
            or (health.state == "cooling" and health.ready_in == 0.0 and not careful)
            for health in self.cycle.health()
            if health.server not in tried
        }

        pick = self.cycle.pick(tried, careful=careful)

        if any(ready.values()):
            assert ready.get(pick.server) or pick.trial
        if pick.trial:
            before = self.trials.get(pick.server)
            assert before is None or self.time.now - before >= CAP
            self.trials[pick.server] = self.time.now
        self.out.append(pick)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def succeed(self, data):
        self.cycle.record_success(self._taken(data))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), cool=st.booleans(), asked=st.sampled_from((0.0, 0.5, LONGEST_ASKED)))
    def fail(self, data, cool, asked):
        self.cycle.record_failure(self._taken(data), REASON, cool=cool, retry_after=asked)

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def abandon(self, data):
        self.cycle.release(self._taken(data))

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def give_back_again(self, data):
        self.cycle.record_failure(data.draw(st.sampled_from(self.stale)), REASON)

    @rule(data=st.data())
    def accuse(self, data):
        self.cycle.accuse(data.draw(st.sampled_from(self.servers)), REASON)

    @rule(seconds=st.sampled_from((0.3, 1.0, CAP, LONGEST_ASKED)))
    def wait(self, seconds):
        self.time.now += seconds

    @rule()
    def fork(self):
        self.cycle.after_fork()
        self.stale += self.out
        self.out.clear()
        self.trials.clear()

    def _taken(self, data):
        pick = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        self.stale.append(pick)
        if pick.trial:
            self.trials.pop(pick.server, None)
        return pick

    @invariant()
    def what_is_out_is_active(self):
        out = Counter(pick.server for pick in self.out)
        assert [out[each.server] for each in self.cycle.health()] == [
            each.active_attempts for each in self.cycle.health()
        ]

    @invariant()
    def those_that_are_not_healthy_are_counted(self):
        states = [health.state for health in self.cycle.health()]
        assert self.cycle._unhealthy == sum(state in ("cooling", "trial") for state in states)

    @invariant()
    def no_server_is_kept_out_for_longer_than_it_may(self):
        assert all(each.ready_in <= max(CAP, LONGEST_ASKED) for each in self.cycle.health())

    @invariant()
    def a_server_that_is_not_healthy_has_failed(self):
        assert all(
            each.state == "healthy" or each.consecutive_failures for each in self.cycle.health()
        )


# In a full run it takes a hundred ways, for five seconds and more.
TestCycles = Cycles.TestCase
