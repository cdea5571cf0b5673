"""What this process sees and what it may say of it: the proof, and how old each thing is by the broker's clock.

Place in the flow: Kafka and the newest picture → **proof** → every answer. Judging is pure; only the watch reads.
"""
