"""What changes something: the sheets that ask, the forms that are sent, the commands that they become.

Place in the flow: form → **acting** → api → notice.
"""
