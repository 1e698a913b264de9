"""All checks together."""

from checks.network import network_problems
from checks.operator_rules import operator_problems
from checks.schema import schema_problems
from checks.security_rules import security_problems
from checks.server_rules import server_problems

CHECKS = (operator_problems, security_problems, network_problems, server_problems)


def problems(objects):
    """Each reason not to apply these objects; the schemas' alone where there are any, as the rest builds on them."""
    return list(schema_problems(objects)) or [text for check in CHECKS for text in check(objects)]
