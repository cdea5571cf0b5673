"""Before and around a route: who asks, whose turn it is, and how a refusal reads.

Place in the flow: request → **http** → route.
"""
