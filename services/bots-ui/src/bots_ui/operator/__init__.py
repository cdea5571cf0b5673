"""Who is signed in, and what they may ask for.

Place in the flow: cookie → **operator** → frame, pages and forms.
"""
