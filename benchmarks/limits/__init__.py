"""What the machine and the client libraries can do without the platform: one module per limit, none of our code on its path."""
