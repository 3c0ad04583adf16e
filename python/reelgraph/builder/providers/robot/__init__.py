"""Dedicated servers through the Robot webservice: HTTPS, form bodies, JSON answers in a one-key envelope.

What its documentation leaves open, and where each fact comes from, stands in docs/builder.md. Questions are asked up
to four times; what changes something is sent once.
"""

from __future__ import annotations

from reelgraph.builder.clock import Clock
from reelgraph.builder.credentials import Credentials
from reelgraph.builder.providers.robot.client import Robot
from reelgraph.builder.providers.robot.transport import Webservice


def connect(credentials: Credentials, clock: Clock) -> Robot:
    """Return a client; nothing is sent yet."""
    return Robot(Webservice(credentials, clock))
