"""What OpenAPI has no words for: parameters that must fit each other. Cases that break such a rule alone are not made."""

import re

import schemathesis


@schemathesis.hook.apply_to(method="GET", path="/api/cache/keys")
def filter_case(context, case):
    """A cursor begins with the order that it belongs to."""
    query = case.query or {}
    belongs = re.match("(hits|bytes|age|ttl)-", str(query.get("cursor", "")))
    return belongs is None or belongs[1] == query.get("sort", "hits")
