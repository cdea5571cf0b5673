"""Documents as people read them: words, shapes, colours, curves and moments. Pure.

Place in the flow: documents → **shown** → pages and the stream.
"""
