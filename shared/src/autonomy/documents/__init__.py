"""What proof-api answers: one model per document, from which OpenAPI, its tests and its readers' types follow.

Place in the flow: tables → **documents** → proof-api, OpenAPI. A row goes out as its table says (`rows`): a new column is in SQL, JSON and
`docs/openapi.json` at once. Everything else is written out here. No answer is built or checked with these models while it is given, since
that would cost more than the answer; the tests check every answer that they get.
"""
