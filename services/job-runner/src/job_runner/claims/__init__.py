"""What this process and the log say to each other about jobs.

Place in the flow: offer → orders → **claims** → work → outcomes.
"""
