"""How much evidence each profile gathers, and so how long it takes on two cores."""

from __future__ import annotations

from bench.schema import Profile

PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            name="smoke",
            title="about 2 minutes: does everything work",
            launches=2,
            repeats=1,
            seeds=1,
            attacked_seeds=1,
            attacked_examples=20,
            seconds=0.1,
            alpha=0.05,
            call_limit=5,
            time_limit=90,
            control_up_to=1024,
        ),
        Profile(
            name="quick",
            title="half an hour or more: a provisional answer",
            launches=3,
            repeats=2,
            seeds=3,
            attacked_seeds=1,
            attacked_examples=100,
            seconds=0.2,
            alpha=0.05,
            call_limit=10,
            time_limit=240,
            control_up_to=1024,
        ),
        Profile(
            name="full",
            title="hours: settled figures",
            launches=8,
            repeats=3,
            seeds=5,
            attacked_seeds=5,
            attacked_examples=500,
            seconds=1.2,
            call_limit=60,
            time_limit=7200,
            control_up_to=1 << 30,
        ),
    )
}
