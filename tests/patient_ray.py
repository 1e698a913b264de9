"""Ray whose nodes may take their time to start, as on a busy machine: what it gives itself is 15 and 30 s."""

import inspect
import time
from typing import Any

from ray._private import node, services
from ray._raylet import DASHBOARD_AGENT_LISTEN_PORT_NAME, persist_port

ATTEMPTS = 240
"""To learn of a node that starts, a second between two."""


def be_patient() -> None:
    """Changes Ray in this process: for Ray 2.60, and nodes that are told the ports of their agents.

    A raylet waits 15 s for the agent to write one of its ports into a file, although it was told that port, and then
    aborts; so the file is there before it starts. A node is given up after 30 s; so each question after it is patient.
    Ray's client server, which takes seconds to start and which nobody here needs, is left out.
    """
    start_raylet, get_node = services.start_raylet, services.get_node
    parameters = inspect.signature(start_raylet)

    def start(*told: Any, **named: Any) -> Any:
        given = parameters.bind(*told, **named).arguments
        port = given["dashboard_agent_listen_port"]
        persist_port(given["session_dir"], given["node_id"], DASHBOARD_AGENT_LISTEN_PORT_NAME, port)
        return start_raylet(*told, **named)

    def ask(*told: Any) -> Any:
        for _ in range(ATTEMPTS):
            try:
                return get_node(*told)
            except RuntimeError:
                time.sleep(1)
        return get_node(*told)

    services.start_raylet, services.get_node = start, ask
    node.Node.start_ray_client_server = lambda self: None
