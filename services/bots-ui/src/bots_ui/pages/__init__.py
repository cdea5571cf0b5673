"""What each page and each of its parts holds, for the templates.

Place in the flow: address → **pages** → templates.
"""
