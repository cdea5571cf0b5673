"""The autonomy command."""
