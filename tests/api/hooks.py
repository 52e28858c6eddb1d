"""What OpenAPI has no words for: parameters that must fit each other. Cases that break such a rule are not made."""

import schemathesis


@schemathesis.hook.apply_to(method="GET", path="/api/cache/keys")
def filter_query(context, query):
    """A cursor begins with the order that it belongs to."""
    if not isinstance(query, dict) or "cursor" not in query:
        return True
    return str(query["cursor"]).startswith(f"{query.get('sort', 'hits')}-")
